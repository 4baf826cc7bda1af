#include "pattern.h"

#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>

#include <GraphMol/QueryOps.h>
#include <GraphMol/SmilesParse/SmilesParse.h>

namespace marginalia::molecule_property {

/// What an atom of the pattern asks. Only what holds a $(...) is taken apart; the rest is RDKit's.
struct Pattern::AtomTest {
  enum Kind { kQuery, kAnd, kOr, kXor, kPattern } kind = kQuery;
  bool negated = false;
  const Query* query = nullptr;
  std::vector<AtomTest> parts;
  std::shared_ptr<const Pattern> pattern;
};

/// One atom of the pattern, in the order in which they are placed.
struct Pattern::Step {
  struct Link {
    std::size_t step;
    const RDKit::Bond* bond;
  };
  AtomTest test;
  Classes classes;          // that the atom can be of
  std::vector<Link> links;  // to atoms placed before; the first leads here, the rest close rings
};

/// The classes of which some atom may pass a query, and those of which every atom does.
struct Pattern::Bounds {
  Classes some, every;
};

namespace {

using AtomQuery = RDKit::QueryAtom::QUERYATOM_QUERY;

bool is_one_of(const AtomQuery& query, std::initializer_list<const char*> names) {
  return std::ranges::find(names, query.getDescription()) != names.end();
}
bool is_recursive(const AtomQuery& query) {
  return query.getDescription() == "RecursiveStructure";
}
bool holds_pattern(const AtomQuery& query) {
  if (is_recursive(query)) return true;
  return std::any_of(query.beginChildren(), query.endChildren(),
                     [](const auto& child) { return holds_pattern(*child); });
}

const RDKit::ROMol& find_query(const AtomQuery& recursive) {
  return *static_cast<const RDKit::RecursiveStructureQuery&>(recursive).getQueryMol();
}

/// The classes that pass a query that asks for nothing but the class.
Classes classes_passing(const AtomQuery& query) {
  Classes classes;
  RDKit::Atom atom;
  for (int element = 0; element < kElements; ++element)
    for (const bool aromatic : {false, true}) {
      atom.setAtomicNum(element);
      atom.setIsAromatic(aromatic);
      classes.set(static_cast<std::size_t>(classify(atom)), query.Match(&atom));
    }
  return classes;
}

const AtomQuery& atom_query(const RDKit::ROMol& molecule, unsigned atom) {
  return *molecule.getAtomWithIdx(atom)->getQuery();
}

}  // namespace

Pattern::Bounds Pattern::compute_bounds(const Query& query) {
  Bounds bounds{Classes().set(), {}};
  const bool all = query.getDescription() == "AtomAnd", any = query.getDescription() == "AtomOr";
  if (is_one_of(query, {"AtomType", "AtomAtomicNum", "AtomIsAromatic", "AtomIsAliphatic"})) {
    bounds.some = bounds.every = classes_passing(query);
    return bounds;  // its negation is part of the answer
  }
  if (all) bounds.every.set();
  if (any) bounds.some.reset();
  for (auto child = query.beginChildren(); (all || any) && child != query.endChildren(); ++child) {
    const auto part = compute_bounds(**child);
    bounds.some = all ? bounds.some & part.some : bounds.some | part.some;
    bounds.every = all ? bounds.every & part.every : bounds.every | part.every;
  }
  if (is_recursive(query)) bounds.some = compute_bounds(atom_query(find_query(query), 0)).some;
  return query.getNegation() ? Bounds{~bounds.every, ~bounds.some} : bounds;
}

Pattern::AtomTest Pattern::make_test(const Query& query) const {
  if (!holds_pattern(query)) return {AtomTest::kQuery, false, &query, {}, nullptr};
  if (is_recursive(query))
    return {
        AtomTest::kPattern,
        query.getNegation(),
        nullptr,
        {},
        std::make_shared<Pattern>(std::shared_ptr<const RDKit::ROMol>(query_, &find_query(query)))};
  const auto& name = query.getDescription();
  AtomTest test{name == "AtomAnd"  ? AtomTest::kAnd
                : name == "AtomOr" ? AtomTest::kOr
                                   : AtomTest::kXor,
                query.getNegation(),
                nullptr,
                {},
                nullptr};
  if (test.kind == AtomTest::kXor && name != "AtomXor")
    throw std::logic_error("a pattern holds $(...) inside of " + name);
  for (auto child = query.beginChildren(); child != query.endChildren(); ++child)
    test.parts.push_back(make_test(**child));
  return test;
}

/// Atoms in the order of a walk along bonds from `first`, then other parts of the pattern.
std::vector<Pattern::Step> Pattern::steps_from(unsigned first) const {
  std::vector<unsigned> order;
  std::vector<Step> steps;
  const auto add = [&](unsigned atom) {
    const auto& query = atom_query(*query_, atom);
    Step step{make_test(query), compute_bounds(query).some, {}};
    for (std::size_t i = 0; i < order.size(); ++i)
      if (const auto* bond = query_->getBondBetweenAtoms(order[i], atom))
        step.links.push_back({i, bond});
    order.push_back(atom);
    steps.push_back(std::move(step));
  };
  const auto next = [&](auto belongs) {
    for (unsigned atom = 0; atom < query_->getNumAtoms(); ++atom)
      if (std::ranges::find(order, atom) == order.end() && belongs(atom)) return add(atom), true;
    return false;
  };
  const auto is_bound = [&](unsigned atom) {
    return std::ranges::any_of(
        order, [&](unsigned other) { return query_->getBondBetweenAtoms(other, atom); });
  };
  add(first);
  while (next(is_bound) || next([](unsigned) { return true; })) {
  }
  return steps;
}

/// The first atom that is no carbon, where there is one: carbons are everywhere.
unsigned Pattern::rarest() const {
  for (unsigned atom = 0; atom < query_->getNumAtoms(); ++atom) {
    const auto classes = compute_bounds(atom_query(*query_, atom)).some;
    if (!classes[6] && !classes[6 + kElements]) return atom;
  }
  return 0;
}

Pattern::Pattern(std::shared_ptr<const RDKit::ROMol> query) : query_(std::move(query)) {
  steps_ = steps_from(0);
  fast_steps_ = steps_from(rarest());
}
Pattern::Pattern(const std::string& smarts)
    : Pattern(std::shared_ptr<const RDKit::ROMol>(RDKit::SmartsToMol(smarts))) {}
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

const Classes& Pattern::first_classes() const {
  return steps_.front().classes;
}

bool Pattern::passes(const AtomTest& test, const Graph& graph, int node) {
  const auto part_passes = [&](const AtomTest& part) { return passes(part, graph, node); };
  switch (test.kind) {
    case AtomTest::kQuery:
      return test.query->Match(&graph.atom(node));
    case AtomTest::kAnd:
      return std::ranges::all_of(test.parts, part_passes) != test.negated;
    case AtomTest::kOr:
      return std::ranges::any_of(test.parts, part_passes) != test.negated;
    case AtomTest::kXor:
      return (std::ranges::count_if(test.parts, part_passes) == 1) != test.negated;
    default:
      return test.pattern->is_at(graph, node) != test.negated;
  }
}

bool Pattern::fits(const Step& step, const Graph& graph, std::span<const int> places, int node) {
  if (!step.classes[static_cast<std::size_t>(graph.class_at(node))]) return false;
  if (std::ranges::find(places, node) != places.end()) return false;
  for (const auto& link : step.links) {
    const auto* bond = graph.bond_between(places[link.step], node);
    if (!bond || !link.bond->Match(bond)) return false;
  }
  return passes(step.test, graph, node);
}

template <class Found>
bool Pattern::place(const std::vector<Step>& steps, const Graph& graph, std::vector<int>& places,
                    const Found& found) {
  if (places.size() == steps.size()) return found(places);
  const auto& step = steps[places.size()];
  const auto try_at = [&](int node) {
    if (!fits(step, graph, places, node)) return false;
    places.push_back(node);
    const bool done = place(steps, graph, places, found);
    places.pop_back();
    return done;
  };
  if (!step.links.empty()) {
    for (const auto& neighbour : graph.neighbours(places[step.links.front().step]))
      if (try_at(neighbour.node)) return true;
  } else {
    for (int node = 0; node < graph.size(); ++node)
      if (try_at(node)) return true;
  }
  return false;
}

template <class Found>
bool Pattern::place_anywhere(const std::vector<Step>& steps, const Graph& graph,
                             const Found& found) {
  for (const auto& step : steps)
    if ((step.classes & graph.classes()).none()) return false;
  std::vector<int> places;
  places.reserve(steps.size());
  return place(steps, graph, places, found);
}

bool Pattern::is_at(const Graph& graph, int node) const {
  if (!fits(steps_.front(), graph, {}, node)) return false;
  if (steps_.size() == 1) return true;
  std::vector<int> places;
  places.reserve(steps_.size());
  places.push_back(node);
  return place(steps_, graph, places, [](const auto&) { return true; });
}

bool Pattern::is_in(const Graph& graph) const {
  return place_anywhere(fast_steps_, graph, [](const auto&) { return true; });
}

int Pattern::count_in(const Graph& graph) const {
  std::set<std::vector<int>> different;
  place_anywhere(steps_, graph, [&](std::vector<int> places) {
    std::ranges::sort(places);
    different.insert(std::move(places));
    return false;
  });
  return static_cast<int>(different.size());
}

}  // namespace marginalia::molecule_property
