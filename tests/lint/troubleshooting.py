#!/usr/bin/env python3
"""docs/troubleshooting.md has each message of errors and warnings, and none that there is not. Usage: troubleshooting.py ROOT

Its tables have the messages in the first column, word for word, with a `…` for each part that differs from time to time.
"""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True

import c_messages  # noqa: E402
import source_tree  # noqa: E402

ROOT = sys.argv[1]
DOCUMENT = "docs/troubleshooting.md"

# files, function, which of its arguments is the message
CALLS = (
    ("{common,daemon}", "log_error", 0),
    ("{common,daemon}", "log_warning", 0),
    ("daemon", "log_agent", 2),
    ("{common,daemon}", "rpc_error_set", 2),
    ("daemon", "rpc_error_refuse", 2),
    ("daemon", "fail_not_running", 1),
    ("daemon", "fail_input_full", 1),
    ("daemon", "fail_replaced", 2),
    ("daemon", "invalid", 1),
    ("daemon", "refuse_name", 3),
    ("daemon", "findings_problem", 1),
    ("daemon", "orchestrator_say_error", 3),
    ("client", "context_fail", 2),
    ("client", "output_say", 0),
    ("client", "top_say", 1),
)

# Here every string of words is a message, or a part of one.
FILES = (
    "client/context.c",
    "client/ephemeral.c",
    "client/follow.c",
    "client/messages.c",
    "client/option.c",
    "client/render-stream.c",
    "client/screen.c",
    "common/dlib.c",
    "common/schema.c",
    "daemon/agent/orchestrator-run.c",
    "daemon/agent/orchestrator-wait.c",
    "daemon/agent/runner.c",
    "daemon/agent/runner-say.c",
    "daemon/backend/curl.c",
    "daemon/backend/exec-end.c",
    "daemon/backend/exec-env.c",
    "daemon/backend/exec-options.c",
    "daemon/backend/exec.c",
    "daemon/backend/http-failure.c",
    "daemon/backend/http.c",
    "daemon/backend/llm-request.c",
    "daemon/backend/llm.c",
    "daemon/backend/mock.c",
    "daemon/backend/provider-config.c",
    "daemon/backend/provider.c",
    "daemon/backend/secret.c",
    "daemon/check.c",
    "daemon/command-line.c",
    "daemon/config-access.c",
    "daemon/config-agents.c",
    "daemon/config-builder.c",
    "daemon/config-load.c",
    "daemon/config-options.c",
    "daemon/config-provider.c",
    "daemon/config-value.c",
)

# What is no message of an error.
NO_ERRORS = {
    "enums are read and written as 32 bits",  # an assertion of the compiler
    "the response is complete",
    "Too large response headers",  # what libcurl says
    "Final from",  # what a mock says
    "all is well",
    "… has ended",  # what top says of an agent
    "… goes on",
    "the configuration is good",
    # daemon/check.c: notes, and parts of its summary
    "there is none; the next start makes it",
    "there is none, and no log either",
    "the last daemon did not end in order",
    "(… to …)",
    "(… ended)",
    "; the catalog has",
    "and is applied up to …",
    "(a daemon is running)",
}

# Those that the source puts together: what it has, and what a person sees.
PUT_TOGETHER = {
    # the two of them fill the first …
    'cannot … "…": …': ('cannot start the program "…": …', 'cannot change to the directory "…": …'),
    "start the program": (),
    "change to the directory": (),
    "… cannot be …, which is tried again: …": (
        "the catalog cannot be written, which is tried again: …",
        "the catalog cannot be synced, which is tried again: …",
        "old segments cannot be removed, which is tried again: …",
    ),
    "…; nothing was queued": (
        "the program has not read what it was sent before; nothing was queued",
        "agents that do not run yet were sent too much before; nothing was queued",
    ),
    "the program has not read what it was sent before": (),
    "agents that do not run yet were sent too much before": (),
    "provider …: the … … …:": (
        "provider …: the … cannot be read from …: …",
        "provider …: the … cannot be used from …: it …",
    ),
    "cannot be read from": (),
    "cannot be used from": (),
    "it …": (),
    "no connection was made within": ("no connection was made within … ms",),
    "no content came within": ("no content came within … ms",),
    "nothing has come any more for": ("nothing has come any more for … ms",),
    "… … ms": (),
    "… answers …": ("… answers …: …",),
    ", which leads elsewhere: that is not followed": ("… answers …, which leads elsewhere: that is not followed",),
    ": it is compressed, which was not asked for": ("… answers …: it is compressed, which was not asked for",),
    "… says": ("… says …",),
    "there was an error": (),
    "what has no type": (),
    "… … is beyond the newest event, which is …": ("--after … is beyond the newest event, which is …",),
    "… could be": ("… could be --…, --…",),
    "… is out of range: it must be from": ("… is out of range: it must be from … to …",),
    "must be one of": ("must be one of …",),
    "--… must be one of:": ("--… must be one of: …",),
    "bytes in a name": (),
    "cannot read … from …:": ("cannot read … from …: …",),
    "agent … …": ("agent … failed: …", "agent … cancelled: …"),
    "message … …": (),
    "; install the package `libncursesw6`": ("… cannot be loaded: …; install the package `libncursesw6`",),
    "standard input": (),
    # '…' is not …: what a value must be
    "a whole number": (),
    "an octal mode such as 0660": (),
    "error, warning, notice, info or debug": (),
    "interval or fsync": (),
    "auto, on or off": (),
    "none, observe, submit or admin": (),
    "openai or anthropic": (),
}


def is_words(text):
    return re.search(r"[a-z]{2,} [a-z…'\"]|… [a-z]{2,}", text)


def said_by(path):
    """[(line, message)]"""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        source = c_messages.Source(file.read())
    found = source.all() if path in FILES else []
    for folders, function, index in CALLS:
        if path.split("/")[0] in folders:
            found += source.of_calls(function, index)
    return [(line, text) for line, text in found if is_words(text)]


def said(faults):
    """message -> where it is said"""
    found = {}
    for path in source_tree.files(ROOT, ".c"):
        if not path.startswith("tests/"):
            for line, text in said_by(path):
                found.setdefault(text, f"{path}:{line}")
    for text in (NO_ERRORS | PUT_TOGETHER.keys()) - found.keys():
        faults.append(f"tests/lint/troubleshooting.py:1: nothing says `{text}` any more")
    return {
        message: place
        for text, place in found.items()
        if text not in NO_ERRORS
        for message in PUT_TOGETHER.get(text, (text,))
    }


def rows(text):
    """(line, what the table's first column has, that cell) of each row of a table."""
    title = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            title = None
        elif title is None:
            title = line.split("|")[1].strip()
        elif not line.startswith("| ---"):
            yield number, title, line.split("|")[1]


def code_spans(cell):
    return [span.strip() for _, span in re.findall(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", cell)]


def table_of(path, pattern):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return {name: f"{path}:1" for name in re.findall(pattern, file.read())}


def compare(what, documented, held):
    """Both are name -> where."""
    faults = [f"{held[name]}: {DOCUMENT} has no {what} `{name}`" for name in held.keys() - documented.keys()]
    return faults + [
        f"{documented[name]}: there is no {what} `{name}`" for name in documented.keys() - held.keys()
    ]


def main():
    with open(os.path.join(ROOT, DOCUMENT), encoding="utf-8") as file:
        text = file.read()
    documented = {"message": {}, "reason": {}, "code": {}}
    for number, title, cell in rows(text):
        names = documented.get(title, {})
        names.update({span: f"{DOCUMENT}:{number}" for span in code_spans(cell)})
    faults = []
    held = {
        "message": said(faults),
        "reason": table_of("common/rpc-error.c", r'\] = \{ "(\w+)"'),
        "code": table_of("common/protocol.c", r'\[AGENT_ERROR_(?!NONE)\w+\] = "(\w+)"'),
    }
    for what, names in held.items():
        faults += compare(what, documented[what], names)
    source_tree.finish(sorted(faults), 1)


main()
