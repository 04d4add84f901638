#!/usr/bin/env python3
"""The manual pages say what the programs say, no more and no less. Usage: man.py ROOT LIONGATED LIONGATECTL

Options, commands, keys and their defaults, and the tables of the protocol are asked of the programs; what a program
does not tell (what a reload takes over, the error codes of agents, the environment, the exit codes) is read from the
source.
"""

import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True

import man_page  # noqa: E402
import source_tree  # noqa: E402

ROOT, LIONGATED, LIONGATECTL = sys.argv[1:4]
# What each of these may be is told once, before the list of methods.
COMMON_ERRORS = {"invalid_params", "internal_error", "permission_denied"}
OUTERMOST = 2**62  # a greater bound is none


def ask(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=120).stdout


def source(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


class Comparison:
    """Of what a page says with what holds, both of them by name."""

    def __init__(self, page):
        self.page = page
        self.faults = []

    def fault(self, line, text):
        self.faults.append(f"{self.page.path}:{line}: {text}")

    def names(self, what, said, held):
        """Both are iterables of names."""
        said, held = set(said), set(held)
        self.faults += [f"{self.page.path}:1: {what} {name} is missing" for name in sorted(held - said)]
        self.faults += [
            f"{self.page.path}:1: there is no {what} {name}" for name in sorted(said - held)
        ]

    def equal(self, line, what, said, held):
        if said != held:
            self.fault(line, f"{what}: the page has `{said}`, the program `{held}`")

    def tables(self, what, said, held):
        """`said` is definitions by name, of which the term counts; `held` the terms that must be."""
        self.names(what, said, held)
        for name in said.keys() & held.keys():
            self.equal(said[name].line, what, said[name].term, held[name])


# --- liongated(8), liongated.conf(5) ------------------------------------------------------------


def daemon_help():
    """Options that are no keys, as `--config=FILE`; and keys, as {"max-running": "1024"} with their defaults."""
    text = ask(LIONGATED, "--help")
    actions = re.findall(r"^  (--\S+) {2,}", text, re.M)
    blocks = re.findall(r"^  --(\S+)=(?:VALUE|ROLE)(?:, --(\S+)=ROLE)?\n((?: {8}.*\n)+)", text, re.M)
    keys = {}
    for name, other, doc in blocks:
        default = re.search(r"Default: (.*)\.$", " ".join(doc.split()))
        keys.update({key: default and default.group(1) for key in (name, other) if key})
    return actions, keys


def option_of(section, key):
    """The option that a key of the file is."""
    word, _, name = section.partition(" ")
    prefix = f"{word}.{name}." if name else "access." if word == "access" else ""
    # What a person names is left as it is.
    return prefix + re.sub("_", "-", key)


def reloadable_keys():
    """Those of the tables, as (section, key): whether a reload takes them over."""
    found = {}
    for path in ("daemon/config-table.c", "daemon/config-named.c"):
        for entry in re.findall(r"\{ (\.section = .*?) \}", source(path), re.S):
            section = re.search(r'\.section = "([^"]+)"', entry).group(1)
            name = re.search(r'\.name = "([^"]+)"(?: ANY_NAME)?', entry)
            key = name.group(1) + ("NAME" if name.group(0).endswith("ANY_NAME") else "")
            found[section, key] = "reloadable = true" in entry
    return found


def check_daemon_page(page):
    c = Comparison(page)
    actions, keys = daemon_help()
    c.tables(
        "option", {d.term: d for d in page.within("OPTIONS", "")}, {action: action for action in actions}
    )
    named = []
    for definition in page.within("OPTIONS", "Configuration"):
        named += re.findall(r"--([A-Za-z.-]+)", definition.text)
    c.names("option", named, keys)
    return c.faults


def check_conf_page(page):
    c = Comparison(page)
    _, defaults = daemon_help()
    reloadable = reloadable_keys()
    said = {}
    for d in page.definitions:
        if d.subsection.startswith("["):
            said[d.subsection.strip("[]"), d.term] = d
    # Whom [access] speaks of is no table.
    held = {**reloadable, ("access", "user.NAME"): True, ("access", "group.NAME"): True}
    c.names("key", map(" ".join, said), map(" ".join, held))
    for place in said.keys() & held.keys():
        check_key(c, said[place], defaults[option_of(*place)], held[place])
    return c.faults


def check_key(c, definition, default, reloadable):
    ending = f"Default: {default}." if default else ""
    ending += (" " if ending else "") + "Reload." if reloadable else ""
    if not definition.text.endswith(ending) or reloadable != definition.text.endswith("Reload."):
        c.fault(definition.line, f"{definition.term} must end with `{ending}`")


# --- liongatectl(1) ---------------------------------------------------------------------------


def client_options(text, heading):
    """The left column of a list of options in a help."""
    part = re.search(rf"^{heading}\n((?: .*\n)+)", text, re.M)
    return re.findall(r"^ {2,6}(-\S.*?)(?: {2,}.*)?$", part.group(1), re.M) if part else []


def check_options(c, definitions, options):
    by_name = {re.search(r"--[a-z-]+", d.term).group(0): d for d in definitions}
    c.tables("option", by_name, {re.search(r"--[a-z-]+", o).group(0): o for o in options})


def check_client_page(page):
    c = Comparison(page)
    overview = ask(LIONGATECTL, "help")
    commands = re.findall(r"^  ([a-z-]+) {2,}", overview.partition("Commands")[2].partition("\n\n")[0], re.M)
    said = [name for section, name in page.subsections if section == "COMMANDS"]
    c.names("command", said, commands)
    check_options(c, page.within("OPTIONS"), client_options(overview, "Options of every command:"))
    for name in set(said) & set(commands):
        text = ask(LIONGATECTL, "help", name)
        synopsis = page.paragraphs_of("COMMANDS", name)[0]
        usage = re.search(r"^Usage: (.*)", text).group(1)
        c.equal(synopsis.line, "usage", synopsis.text, usage)
        check_options(c, page.within("COMMANDS", name), client_options(text, "Options:"))
    return c.faults + check_exit_codes(page)


def check_exit_codes(page):
    c = Comparison(page)
    codes = re.findall(r"EXIT_CODE_\w+\s*=\s*(\d+)", source("client/exit-code.h"))
    said = [code for d in page.within("EXIT STATUS") for code in re.findall(r"\d+", d.term)]
    # 128 and the signal: what the help has beside the codes of the table.
    c.names("exit code", said, codes + ["143", "129"])
    return c.faults


# --- liongate-protocol(7) -----------------------------------------------------------------------


def describe_range(schema):
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None:
        return ""
    return f" from {least}" if most > OUTERMOST else f" from {least} to {most}"


def describe_type(schema):
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    if schema["type"] == "array":
        most = schema.get("maxItems")
        count = f" of {schema.get('minItems', 0)} to {most}" if most else ""
        return f"array{count}, each {describe_type(schema['items'])}"
    if "additionalProperties" in schema and schema["additionalProperties"] is not False:
        return "object of strings"
    return schema["type"] + describe_range(schema)


def describe(name, schema, required):
    """The term of a parameter or an option."""
    default = f"; default {json.dumps(schema['default'])}" if "default" in schema else ""
    return f"{name} ({describe_type(schema)}{'; required' if required else default})"


def members(schema):
    """Of an object that has some of its own, or of an array's objects."""
    return schema.get("properties") or schema.get("items", {}).get("properties", {})


def check_schemas(c, what, definitions, schemas):
    """`schemas` is name to (schema, whether it is required)."""
    said = {d.term.split()[0]: d for d in definitions}
    c.tables(what, said, {name: describe(name, *schema) for name, schema in schemas.items()})
    for name in said.keys() & schemas.keys():
        for member in members(schemas[name][0]):
            if not re.search(rf"\b{member}\b", said[name].text):
                c.fault(said[name].line, f"{name} has a member {member}")


def notation(schema, common):
    """{name, name?}, as common/protocol.c has it, without what all have in common."""
    names = [m if m in schema["required"] else m + "?" for m in schema["properties"] if m not in common]
    return "{" + ", ".join(names) + "}"


def method_errors(method):
    reasons = {r for e in method["errors"] for r in e["message"].split(", ")}
    return sorted(reasons - COMMON_ERRORS)


def check_method(c, method):
    page, name = c.page, method["name"]
    schemas = {p["name"]: (p["schema"], p["required"]) for p in method["params"]}
    check_schemas(c, f"parameter of {name}", page.within("METHODS", name), schemas)
    texts = " ".join(p.text for p in page.paragraphs_of("METHODS", name))
    errors = method_errors(method)
    for sentence in (
        f"{method['summary']} Role: {method['x-role']}.",
        f"Result: {method['result']['description']}",
        "Errors: " + ", ".join(errors) + "." if errors else "",
    ):
        if sentence not in texts:
            c.fault(1, f"{name}: the page does not say `{sentence}`")
    if not errors and "Errors:" in texts:
        c.fault(1, f"{name}: it has no errors of its own")


def check_protocol_tables(c, found):
    page = c.page

    def terms(section):
        return {d.term.split()[0]: d for d in page.within(section)}

    agents = {"agent_id", "correlation_id"}
    c.tables(
        "event",
        terms("EVENTS"),
        {
            e["name"]: f"{e['name']} {notation(e['schema'], {'seq', 'time', 'type'} | agents)}"
            for e in found["x-events"]
        },
    )
    c.tables(
        "notification",
        terms("NOTIFICATIONS"),
        {n["name"]: f"{n['name']} {n['params']}" for n in found["x-notifications"]},
    )
    c.tables(
        "error",
        terms("ERRORS"),
        {
            e["reason"]: f"{e['reason']} ({e['code']}{', retryable' if e['retryable'] else ''})"
            for e in found["x-errors"]
        },
    )
    c.tables(
        "limit", terms("LIMITS"), {name: f"{name} ({value})" for name, value in found["x-limits"].items()}
    )


def check_protocol_page(page):
    c = Comparison(page)
    found = json.loads(ask(LIONGATECTL, "--ephemeral", "call", "rpc.discover"))
    methods = {m["name"]: m for m in found["methods"]}
    said = [name for section, name in page.subsections if section == "METHODS"]
    c.names("method", said, methods)
    for name in set(said) & methods.keys():
        check_method(c, methods[name])
    check_protocol_tables(c, found)
    backends = {b["name"]: b["options"] for b in found["x-backends"]}
    c.names("backend", [n for section, n in page.subsections if section == "BACKENDS"], backends)
    for name, options in backends.items():
        required = options.get("required", ())
        schemas = {option: (schema, option in required) for option, schema in options["properties"].items()}
        check_schemas(c, f"option of {name}", page.within("BACKENDS", name), schemas)
    return c.faults + check_words(page)


def check_words(page):
    """Tables that rpc.discover does not have."""
    c = Comparison(page)
    text = source("common/protocol.c")
    codes = re.findall(r'\[AGENT_ERROR_(?!NONE)\w+\] = "(\w+)"', text)
    roles = re.findall(r'\[ROLE_(?!NONE)\w+\] = "(\w+)"', text)
    c.names("code of AgentError", [d.term for d in page.within("CODES OF AGENTERROR")], codes)
    c.names("role", [d.term for d in page.within("ROLES")], roles)
    return c.faults


# --- all of them ----------------------------------------------------------------------------------


def check_environment(pages):
    """Each variable that a program asks for is in the page of that program."""
    faults = []
    for folder, page in (("daemon/", pages["liongated.8"]), ("client/", pages["liongatectl.1"])):
        text = page.text("ENVIRONMENT")
        for path in source_tree.files(ROOT, ".c"):
            if not path.startswith(folder):
                continue
            for name in re.findall(r'getenv\("(\w+)"\)|own_place\(uid, "(\w+)"', source(path)):
                if (variable := name[0] or name[1]) not in text:
                    faults.append(f"{page.path}:1: {path} asks for {variable}")
    return faults


def check_markers(page):
    known = re.compile(r"run$|file [\w./-]+$|shown: .+")
    return [
        f"{page.path}:{b.line}: an example that does not say what a test makes of it: `{b.marker}`"
        for b in page.blocks
        if not known.match(b.marker)
    ]


def main():
    pages = man_page.pages(ROOT)
    faults = check_environment(pages)
    faults += check_daemon_page(pages["liongated.8"])
    faults += check_conf_page(pages["liongated.conf.5"])
    faults += check_client_page(pages["liongatectl.1"])
    faults += check_protocol_page(pages["liongate-protocol.7"])
    for page in pages.values():
        faults += check_markers(page)
    source_tree.finish(sorted(set(faults)), len(pages))


main()
