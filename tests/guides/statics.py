"""What can be said of commands and of pieces of specs without running them."""
import json
import pathlib
import re
import shlex
import subprocess

OPERATORS = {"|", "||", "&&", ";", ">", ">>", "<", "&"}
TAKES_SPEC = {"run", "check", "exact", "study"}
# What `marginalia check` says where files of data are not there.
NO_DATA = re.compile(r"are missing|is missing|no such file|is neither|cannot be opened|not found", re.I)


class Statics:
    """Checks commands and specs by asking the program, with `environment`, in the folder of a guide."""

    def __init__(self, root, environment):
        self.root, self.environment = root, environment
        self.helps = {}

    def ask(self, arguments, folder):
        return subprocess.run(["marginalia", *arguments], cwd=folder, env=self.environment, text=True,
                              capture_output=True, timeout=120)

    def help_of(self, verb):
        """What --help prints of a verb, or of the program; None where there is no such verb."""
        if verb not in self.helps:
            answer = self.ask([verb, "--help"] if verb else ["--help"], self.root)
            self.helps[verb] = answer.stdout if answer.returncode == 0 else None
        return self.helps[verb]

    def faults_of_commands(self, text, folder, unmade=False):
        """Faults of every call of the program and of make in a block of commands.

        unmade: blocks before this one were not run, so that plugins, and specs beside experiments/, may not be there."""
        faults = []
        for words in calls(text):
            name = pathlib.PurePath(words[0]).name
            if name == "marginalia":
                faults += self.faults_of_call(words[1:], folder, unmade)
            elif name == "make":
                faults += self.faults_of_make(words[1:])
        return faults

    def faults_of_make(self, targets):
        done = subprocess.run(["make", "-n", *targets], cwd=self.root, text=True, capture_output=True)
        return [f"make {' '.join(targets)}: {done.stderr.strip()}"] if done.returncode else []

    def faults_of_call(self, words, folder, unmade):
        verb = words[0] if words else ""
        text = self.help_of(verb)
        if text is None:
            return [] if unmade else [f"there is no verb \"{verb}\""]
        known = set(re.findall(r"(?<![\w-])-{1,2}[a-zA-Z][\w-]*", text))
        faults = [f"marginalia {verb} has no option {word.split('=')[0]}" for word in words[1:]
                  if word.startswith("-") and word != "-" and word.split("=")[0] not in known]
        specs = [word for word in words[1:] if word.endswith(".json") and "=" not in word]
        for spec in specs[:1] if verb in TAKES_SPEC else []:
            settings = [word for word in words[1:] if re.match(r"[\w.]+=", word)]
            spec = spec.removeprefix("../")  # the command before it that changes the folder is not run either
            if not unmade or (folder / spec).is_file() or spec.startswith("experiments/"):
                faults += self.faults_of_spec(spec, settings, folder)
        return faults

    def faults_of_spec(self, spec, settings, folder):
        spec = spec.replace("/usr/share/marginalia", str(self.root))  # where a package would put them
        if not (folder / spec).is_file():
            return [f"there is no spec {spec}"]
        answer = self.ask(["check", spec, *settings], folder)
        if answer.returncode == 0 or (NO_DATA.search(answer.stderr) and "MARGINALIA_DATA" not in self.environment):
            return []
        return [f"marginalia check {spec} {' '.join(settings)}: {answer.stderr.strip()}"]

    def faults_of_json(self, block, folder):
        """Faults of a whole spec or manifest, or of each alternative that a piece of one shows."""
        pieces = read_pieces(block.text)
        if len(pieces) == 1 and pieces[0][0] is None and "as" not in block.says:
            spec = folder / "block.json"
            spec.write_text(block.text)
            return self.faults_of_spec(spec.name, [], folder)
        base = block.says.get("base")
        if not base:
            return [f"line {block.line}: a piece of a spec needs base=SPEC"]
        faults = []
        for members in alternatives(pieces):
            settings = [f"{key_of(key, block.says)}={json.dumps(value)}" for key, value in members]
            faults += self.faults_of_spec(base, settings, folder)
        return faults


def key_of(key, says):
    if key is None:
        return says["as"]
    return f"{says['in']}.{key}" if "in" in says else key


def calls(text):
    """The words of each command of a block, one list for each call."""
    for line in re.sub(r"\\\n", " ", text).split("\n"):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = []
        for word in [*lexer, ";"]:
            if word in OPERATORS:
                while words and re.match(r"\w+=", words[0]):
                    words = words[1:]  # variables of the environment
                if words:
                    yield words
                words = []
            else:
                words.append(word)


def read_pieces(text):
    """Members `"key": value`, and values alone with the key None, one after the other; commas may be missing."""
    decoder, pieces, at = json.JSONDecoder(), [], 0
    text = re.sub(r"^\s*//.*$", "", text, flags=re.M)
    while True:
        at = re.compile(r"[\s,]*").match(text, at).end()
        if at == len(text):
            return pieces
        value, at = decoder.raw_decode(text, at)
        colon = re.compile(r"\s*:\s*").match(text, at)
        if isinstance(value, str) and colon:
            key = value
            value, at = decoder.raw_decode(text, colon.end())
            pieces.append((key, value))
        else:
            pieces.append((None, value))


def alternatives(pieces):
    """Members that stand together; where a key comes again, another alternative begins."""
    members = []
    for key, value in pieces:
        if any(key == other for other, _ in members):
            yield members
            members = []
        members.append((key, value))
    yield members
