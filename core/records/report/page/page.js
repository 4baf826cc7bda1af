// How a page is laid out: sections one below the other, each with its title in the margin.

/// What the page shows: its numbers, and what the metrics declare of them.
const data = JSON.parse(document.getElementById("data").textContent);
const facts = data.facts ?? data.comparison?.facts ?? {};

/// A section: its title and notes stand in the margin, its content beside them.
function section(id, title, notes, ...content) {
  const node = element("section", { id }, element("div", { class: "margin" },
    element("h2", {}, title), list(notes).filter(Boolean).map((note) => element("p", {}, note))),
  element("div", { class: "content" }, ...content));
  document.getElementById("report").append(node);
  document.getElementById("contents").append(element("a", { href: "#" + id }, title));
}

/// Writes the sections in turn; one that cannot be drawn does not take the others with it.
function write_page(writers) {
  for (const write of writers) {
    try {
      write();
    } catch (error) {
      console.error(error);
      document.getElementById("report").append(element("p", { class: "warning" },
        `A part of this page could not be drawn (${write.name}): ${error.message}. The numbers ` +
        "stand in the files beside it."));
    }
  }
}
