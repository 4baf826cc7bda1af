# Fills gaps by chained equations: Rscript mice.R IN.csv KINDS.csv OUT.csv M SEED
# IN: a table whose last column, _ignore, says of which rows nothing is learned (TRUE); empty fields are gaps.
# KINDS: name,kind of each column that is used. OUT: of the ignored rows M copies each, with _row (from 1) and _draw.
suppressPackageStartupMessages(library(mice))
words <- commandArgs(trailingOnly = TRUE)
table <- read.csv(words[1], colClasses = "character", na.strings = "", check.names = FALSE)
kinds <- read.csv(words[2], colClasses = "character")
ignore <- table[["_ignore"]] == "TRUE"
data <- table[kinds$name]
for (i in seq_len(nrow(kinds)))
  data[[i]] <- if (kinds$kind[i] == "number") as.numeric(data[[i]]) else factor(data[[i]])
names(data) <- paste0("v", seq_along(data))  # formulas take no names with blanks
filled <- mice(data, m = as.integer(words[4]), ignore = ignore, printFlag = FALSE, seed = as.integer(words[5]),
               nnet.MaxNWts = 1e6)
all <- complete(filled, "long")
all <- all[ignore[all$.id], ]
out <- all[paste0("v", seq_len(nrow(kinds)))]
names(out) <- kinds$name
out[["_row"]] <- match(all$.id, which(ignore))
out[["_draw"]] <- all$.imp
write.csv(out, words[3], row.names = FALSE, na = "")
