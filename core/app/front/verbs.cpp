/// \file
/// The verbs and their options: all of the command line.
#include "verbs.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/spec.h>

namespace marginalia::app {
namespace {

/// The options that all verbs take.
void add_common(CLI::App& verb, Options& options) {
  verb.add_option("--plugins", options.plugins, "a folder of plugins; may be repeated")
      ->type_name("DIR")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb.add_option("--data", options.data, "data directory; else $MARGINALIA_DATA")
      ->type_name("DIR");
  verb.add_option("--threads", options.threads, "of tensor maths; else every core")
      ->type_name("N")
      ->check(CLI::Range(1, 4096));
  verb.add_option("--device", options.device, "auto, cpu, cuda or cuda:N; else the spec's");
}

void add_checkpoint(CLI::App& verb, std::string& checkpoint) {
  verb.add_option("--checkpoint", checkpoint,
                  "file, or name below checkpoints/; else the best, where one was selected, else "
                  "the last")
      ->type_name("FILE");
}

/// Adds verbs to a program, each with the options that all take.
class Verbs {
 public:
  Verbs(CLI::App& program, Request& request) : program_(program), request_(request) {}

  CLI::App& add(const std::string& name, const std::string& what, const std::string& example) {
    auto& verb = add_bare(name, what, example);
    add_common(verb, request_.options);
    return verb;
  }

  /// Without the options that all others take.
  CLI::App& add_bare(const std::string& name, const std::string& what, const std::string& example) {
    auto& verb = *program_.add_subcommand(name, what);
    verb.footer("Example:\n  " + example);
    verb.callback([&request = request_, name] { request.verb = name; });
    return verb;
  }

  CLI::App& add_query(const std::string& name, const std::string& what, const std::string& example,
                      RunQuery& query) {
    auto& verb = add(name, what, example);
    verb.add_option("run", query.run, "run directory")->required()->type_name("RUN");
    add_checkpoint(verb, query.checkpoint);
    return verb;
  }

 private:
  CLI::App& program_;
  Request& request_;
};

constexpr auto kLines = "lines {\"x\": [0, null, ...]}, {\"x\": {\"7\": 1}} or {\"text\": "
                        "\"...\"}, with \"given\" likewise; - "
                        "is stdin";
constexpr auto kElseStdin = "; else stdin, where that is no terminal";

void add_settings(CLI::App& verb, std::vector<std::string>& settings) {
  verb.add_option("settings", settings, "key=value, dotted")->type_name("key=value");
}

void add_precision(CLI::App& verb, std::string& precision, const std::string& what) {
  verb.add_option("--precision", precision, what)
      ->type_name("P")
      ->check(CLI::IsMember({"auto", "float32", "bfloat16", "float64"}));
}

void add_ranks(CLI::App& verb, std::string& source) {
  verb.add_option("--ranks", source,
                  "by whose variables this is one of several processes: slurm; else torchrun's, or "
                  "SLURM's in an srun step of more than one task")
      ->check(CLI::IsMember({"auto", "slurm"}));
}

void add_run(Verbs& verbs, RunArguments& a) {
  auto& verb = verbs.add("run", "train and evaluate what a spec asks for",
                         "marginalia run experiments/ising/smoke.json training.steps=500");
  verb.add_option("spec", a.spec, "experiment spec")->required()->type_name("SPEC");
  add_settings(verb, a.settings);
  verb.add_option("--out", a.out, "run directory; else runs/STEM, or runs/FOLDER-STEM")
      ->type_name("DIR");
  verb.add_flag("--force", a.force, "set an existing run directory aside");
  add_ranks(verb, a.ranks);
  add_precision(verb, a.precision, "stands for training.precision=P");
}

void add_resume(Verbs& verbs, ResumeArguments& a) {
  auto& verb = verbs.add("resume", "go on with an interrupted run", "marginalia resume runs/smoke");
  verb.add_option("run", a.run, "run directory")->required()->type_name("RUN");
  add_precision(verb, a.precision, "go on in this one, whatever the run was begun in");
  add_ranks(verb, a.ranks);
}

void add_launch(Verbs& verbs, LaunchArguments& a) {
  auto& verb = verbs.add_bare("launch",
                              "run or resume on several processes of this machine: the words after "
                              "the options are those of run, or of resume",
                              "marginalia launch --ranks 2 run experiments/mnist/cpu.json");
  verb.add_option("-n,--ranks", a.ranks, "processes, which share batches and processors")
      ->required()
      ->type_name("N")
      ->check(CLI::Range(1, 4096));
  verb.add_option("--restarts", a.restarts,
                  "from the last checkpoint, at most, when a process is gone or silent")
      ->type_name("N")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  verb.add_option("--silence", a.silence,
                  "after which a process without a sign of life is ended as one that hangs; a slow "
                  "step is none")
      ->type_name("SECONDS")
      ->check(CLI::Range(3, 1 << 30))
      ->capture_default_str();
  verb.prefix_command();
  verb.parse_complete_callback([&a, &verb] { a.words = verb.remaining(); });
}

void add_check(Verbs& verbs, CheckArguments& a) {
  auto& verb = verbs.add("check", "validate a spec and print it resolved",
                         "marginalia check experiments/ising/smoke.json energy.side=6");
  verb.add_option("spec", a.spec, "experiment spec, or a study's manifest")
      ->required()
      ->type_name("SPEC");
  add_settings(verb, a.settings);
  verb.add_flag("--upgrade", a.upgrade,
                "print it as it is given, in today's format, in place of resolved");
  verb.add_flag("--open", a.open,
                "open data, files of the energy and training.init too, as run would");
}

void add_evaluate(Verbs& verbs, EvaluateArguments& a) {
  auto& verb = verbs.add("evaluate", "measure a run again",
                         "marginalia evaluate runs/smoke --metrics ess,log_z");
  verb.add_option("run", a.run, "run directory")->required()->type_name("RUN");
  verb.add_option("--metrics", a.metrics, "names, separated by commas")
      ->delimiter(',')
      ->expected(1)
      ->type_name("A,B");
  verb.add_option("--checkpoint", a.checkpoint, "file below checkpoints/")->type_name("FILE");
}

void add_report(Verbs& verbs, std::string& path) {
  verbs.add("report", "write the report.html of a run or a study", "marginalia report runs/smoke")
      .add_option("run", path, "run directory, or a study's")
      ->required()
      ->type_name("RUN");
}

void add_certify_options(CLI::App& verb, bool& certify, CertifyArguments& a) {
  auto* flag = verb.add_flag("--certify", certify, "answer with an interval that holds");
  verb.add_option("--confidence", a.confidence, "of each interval")
      ->check(CLI::Range(0.5, 0.999999))
      ->capture_default_str()
      ->needs(flag);
  verb.add_option("--width", a.width,
                  "nats at which sampling stops; 0.1 where neither this nor --seconds is given")
      ->check(CLI::PositiveNumber)
      ->needs(flag);
  verb.add_option("--seconds", a.seconds, "of sampling, for each line; else no limit")
      ->check(CLI::PositiveNumber)
      ->needs(flag);
  verb.add_option("--samples", a.samples, "of each side at most")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str()
      ->needs(flag);
  verb.add_option("--exact-width,--islands", a.exact_width,
                  "log2 of the entries of a message up to which unknown variables are summed out "
                  "exactly; 0: the network alone")
      ->check(CLI::Range(0, 24))
      ->capture_default_str()
      ->needs(flag);
  for (const auto* other : {"--estimator", "--conformal", "--orders", "--order"})
    flag->excludes(verb.get_option(other));
}

CLI::Validator orders() {
  return CLI::IsMember({"random", "forward", "backward", "parallel"});
}

void add_marginals(Verbs& verbs, MarginalsArguments& a) {
  auto& verb =
      verbs.add_query("marginals", "log p of partial states: JSON Lines in, JSON Lines out",
                      "echo '{\"x\": [0, 1, null, null]}' | marginalia marginals runs/tiny", a);
  verb.add_option("--input", a.input, std::string(kLines) + kElseStdin)->type_name("FILE");
  verb.add_option("--estimator", a.estimator,
                  "one of the family's (marginalia list --queries), routed or exact; else the "
                  "family's first");
  verb.add_option("--orders", a.orders, "of an ensemble or of paths; masks of masked")
      ->check(CLI::Range(1, 1 << 20));
  verb.add_option("--order", a.order, "of the variables along a chain")->check(orders());
  verb.add_flag("--conformal", a.conformal,
                "add to one_pass the interval that the metric conformal calibrated");
  add_certify_options(verb, a.certify, a.certified);
}

void add_conditionals(Verbs& verbs, ConditionalsArguments& a) {
  verbs
      .add_query("conditionals", "probabilities of every unknown variable of partial states",
                 "marginalia conditionals runs/smoke --input states.jsonl", a)
      .add_option(
          "--input", a.input,
          std::string(kLines) + kElseStdin + "; a list \"at\": [7] names what is asked about")
      ->type_name("FILE");
}

void add_sample(Verbs& verbs, SampleArguments& a) {
  auto& verb = verbs.add_query("sample", "draw states, given others or none",
                               "marginalia sample runs/smoke --count 4", a);
  verb.add_option("--count", a.count, "samples, of each given line")
      ->required()
      ->check(CLI::Range(1, 1 << 30));
  verb.add_option("--given", a.given,
                  "lines {\"x\": [0, null, ...]}, {\"given\": {\"7\": 1}} or {\"text\": \"...\", "
                  "\"at\": 3} "
                  "to complete; - is stdin")
      ->type_name("FILE");
  verb.add_flag("--most-probable", a.most_probable,
                "complete by the most probable values in place of drawn ones");
  verb.add_option("--order", a.order, "in which variables are drawn")->check(orders());
  verb.add_option("--steps", a.steps, "network passes at most, several variables in each")
      ->check(CLI::Range(1, 1 << 30));
}

/// What verbs ask that need no training.
void add_energy_words(CLI::App& verb, std::vector<std::string>& words, const std::string& what) {
  verb.add_option("spec", words, what + "; then key=value, dotted, for all of them")
      ->required()
      ->type_name("SPEC...");
}

constexpr auto kSpecs = "experiment specs, of which the energy alone is used; UAI models, with "
                        "the evidence of NAME.uai.evid beside them; folders of either";

void add_exact(Verbs& verbs, ExactArguments& a) {
  auto& verb = verbs.add("exact", "ask an energy's oracle, without training",
                         "marginalia exact experiments/ising/smoke.json energy.side=3\n"
                         "  marginalia exact models/*.uai energy.memory=4");
  add_energy_words(verb, a.words, kSpecs);
  verb.add_option("--input", a.input,
                  std::string(kLines) + "; a list \"at\": [7] asks for probabilities")
      ->type_name("FILE");
}

void add_most_probable(Verbs& verbs, MostProbableArguments& a) {
  auto& verb = verbs.add("most-probable", "the most probable state, given others or none",
                         "marginalia most-probable model.uai\n"
                         "  echo '{\"given\": {\"3\": 1}}' | marginalia most-probable "
                         "experiments/ising/smoke.json --input -");
  verb.alias("mpe")->alias("map");
  add_energy_words(verb, a.words, std::string("a run; or ") + kSpecs);
  verb.add_option("--input", a.input, std::string(kLines))->type_name("FILE");
  add_checkpoint(verb, a.checkpoint);
  verb.add_option("--seconds", a.seconds,
                  "of processor time for each question, where a search has to do")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  verb.add_option("--memory", a.memory, "GiB that messages may take; beyond it a search has to do")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
}

std::string kinds() {
  return fmt::format("{}", fmt::join(component_kinds(), ", "));
}

void add_list(Verbs& verbs, ListArguments& a) {
  auto& verb = verbs.add("list", "what is loaded, by kind", "marginalia list energy");
  verb.add_option("kind", a.kind, kinds());
  verb.add_flag("--json", a.json, "as JSON");
  verb.add_flag(
      "--queries", a.queries,
      "which family answers which question: how far it can be trusted, in how many passes");
}

void add_describe(Verbs& verbs, DescribeArguments& a) {
  auto& verb = verbs.add("describe", "a component's parameters, formula and source",
                         "marginalia describe energy ising");
  verb.add_option("kind", a.kind, "kind of component");
  verb.add_option("name", a.name, "its name");
  verb.add_flag("--all", a.all, "every component");
  verb.add_option("--write", a.write, "with --all: write reference/ and spec.schema.json below DIR")
      ->type_name("DIR");
}

void add_runs(Verbs& verbs, RunsArguments& a) {
  auto& verb = verbs.add("runs", "the runs below a folder, as a table",
                         "marginalia runs --where energy.type=ising 'ess/importance>0.9' --sort "
                         "ess/importance");
  verb.add_option("root", a.root, "folder; else runs")->type_name("DIR");
  verb.add_option("--where", a.filters,
                  "key=value, !=, <, <=, > or >=, of the spec, of run.json, or metric/estimator")
      ->type_name("key=value");
  verb.add_option("--sort", a.sort, "key or metric/estimator")->type_name("KEY");
  verb.add_flag("--reverse", a.reverse, "the largest first");
  verb.add_option("--columns", a.columns, "keys or metric/estimator")
      ->delimiter(',')
      ->type_name("A,B");
  verb.add_flag("--json", a.json, "a JSON object a line");
}

void add_study(Verbs& verbs, StudyArguments& a) {
  auto& verb = verbs.add("study", "run many experiments and compare them",
                         "marginalia study experiments/studies/ising_families.json --jobs 2");
  verb.add_option("study", a.file, "manifest of the study")->required()->type_name("FILE");
  verb.add_option("--jobs", a.jobs,
                  "experiments at a time, each with its share of the threads; else one, with slurm "
                  "as many as it lets")
      ->type_name("N")
      ->check(CLI::Range(1, 4096));
  verb.add_option("--out", a.out, "folder of the study; else runs/STEM")->type_name("DIR");
  verb.add_option("--only", a.only, "experiments, by name, variant or pattern (*)")
      ->delimiter(',')
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("A,B");
  add_precision(verb, a.precision,
                "what \"auto\" comes to in training; else what this machine multiplies in "
                "hardware; float32 with slurm");
  verb.add_flag("--dry-run", a.dry_run, "say what would be done, and write nothing");
  verb.add_flag("--yes", a.yes, "run more than 1000 experiments");
  verb.add_option("--launcher", a.launcher, "local processes, or an array of SLURM jobs")
      ->check(CLI::IsMember({"local", "slurm"}));
  verb.add_option("--slurm", a.slurm, "an option for sbatch, as --slurm=--time=02:00:00")
      ->type_name("OPTION")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb.add_flag("--runs-only", a.runs_only, "leave the comparison to marginalia report");
}

void add_reproduce(Verbs& verbs, ReproduceArguments& a) {
  auto& verb =
      verbs.add("reproduce", "run a recorded run or study again, and say whether the numbers agree",
                "marginalia reproduce runs/smoke");
  verb.add_option("run", a.path, "run directory, or a study's")->required()->type_name("RUN");
  verb.add_option("--out", a.out, "where it is run again; else RUN.again")->type_name("DIR");
  verb.add_option("--jobs", a.jobs, "runs of a study at a time")
      ->type_name("N")
      ->check(CLI::Range(1, 4096));
  verb.add_flag("--all", a.all, "print the numbers of every training step as well");
}

void add_data(Verbs& verbs, DataArguments& a) {
  auto& verb = verbs.add("data",
                         "the public files of datasets and energies: which, and where; what a file "
                         "of yours is taken for",
                         "marginalia data fetch mnist binarized\n"
                         "  marginalia data describe my.csv header=yes");
  verb.add_option("action", a.action, "list, fetch, verify, or describe FILE")
      ->required()
      ->check(CLI::IsMember({"list", "fetch", "verify", "describe"}));
  verb.add_option("name", a.name, "a dataset or an energy, else all; of describe a FILE")
      ->type_name("NAME");
  verb.add_option("rest", a.rest,
                  "FILTER: only files that begin so, * and ? stand for any; of describe key=value, "
                  "as of the dataset's parameters")
      ->type_name("FILTER");
  verb.add_flag("--json", a.json, "of describe: as JSON, which the parameter \"schema\" takes");
  verb.add_option("--from", a.from, "fetch from a mirror: in place of https://HOST")
      ->type_name("URL_PREFIX");
}

void add_new(Verbs& verbs, NewArguments& a) {
  auto& verb =
      verbs.add("new", "write a plugin project of your own", "marginalia new energy my_energy");
  verb.add_option("kind", a.kind, kinds())->required()->type_name("KIND");
  verb.add_option("name", a.name, "of the component, as my_energy")->required()->type_name("NAME");
  verb.add_option("--out", a.out, "folder to write; else ./NAME")->type_name("DIR");
  verb.add_option("--language", a.language, "c++, or python: of an energy")
      ->check(CLI::IsMember({"c++", "python"}));
}

}  // namespace

std::vector<std::string> take_options(std::vector<std::string> words, Request& request) {
  CLI::App program;
  program.set_help_flag();
  program.allow_extras();
  add_common(program, request.options);
  add_checkpoint(program, request.tool.checkpoint);
  std::ranges::reverse(words);  // as CLI11 takes them
  program.parse(words);
  return program.remaining();
}

void add_verbs(CLI::App& program, Request& request) {
  Verbs verbs(program, request);
  add_run(verbs, request.run);
  add_resume(verbs, request.resume);
  add_launch(verbs, request.launch);
  add_check(verbs, request.check);
  add_evaluate(verbs, request.evaluate);
  add_report(verbs, request.report);
  add_marginals(verbs, request.marginals);
  add_conditionals(verbs, request.conditionals);
  add_sample(verbs, request.sample);
  add_exact(verbs, request.exact);
  add_most_probable(verbs, request.most_probable);
  add_list(verbs, request.list);
  add_describe(verbs, request.describe);
  verbs.add("doctor", "explain this build and this machine", "marginalia doctor");
  add_runs(verbs, request.runs);
  add_study(verbs, request.study);
  add_reproduce(verbs, request.reproduce);
  add_data(verbs, request.data);
  add_new(verbs, request.new_plugin);
}

}  // namespace marginalia::app
