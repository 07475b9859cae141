"""The command `chargepoint`: finds the verb, loads only what that verb needs, and says how it ended.

    chargepoint run --config FILE          the agent, in the foreground
    chargepoint check-config [FILE]        is this configuration right?
    chargepoint status [--json] [--watch]  what the running agent is doing
    chargepoint evse | meter [N]           all about one EVSE, its meter (with read, offer: on the bench, no agent)
    chargepoint transactions | queue | variables | events     what was charged, what waits, what is set, what happened
    chargepoint start | stop | unlock | availability ...      orders, each with a reason that is kept
    chargepoint doctor [--report FILE]     is this charger fit to be left alone?
    chargepoint bus scan ...               who is on this line? (this and the next need no agent)
    chargepoint map ...                    the shelf of maps; check a map, try it on its device
    chargepoint plug-and-test N            a guided test charge, with a dated report
    chargepoint trace | log                what crosses the lines now; what the journal holds, and what to do about it
    chargepoint support-bundle [FILE]      all that a supporter needs, without secrets
    chargepoint factory-reset              remove what was remembered, but not the configuration
    chargepoint replay FILE                what the flight recorder has written, told and decided once more
    chargepoint simulate ...               be the hardware that a configuration describes
    chargepoint sim ...                    hands for that simulated hardware
    chargepoint demo                       a whole story on this machine
    chargepoint version

Exit codes: see `agent.errors`; besides, 130 after Ctrl-C and 141 when the reader of a pipe went away. A mistake of the
user is one line on stderr. `run` does without argparse: the time to its first message counts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from agent.errors import AgentError, ConfigError, Exit

VERBS = {  # verb -> module with main(argv) -> exit code (or ":" and another function of it), what it does
    "run": ("", "run the agent in the foreground: chargepoint run --config FILE"),
    "check-config": ("agent.cli.check", "say whether a configuration is right, and what is not"),
    "status": ("agent.cli.status", "show what the running agent is doing"),
    "evse": ("agent.cli.evse", "all about an EVSE; read, offer: try a controller on the bench"),
    "meter": ("agent.cli.meter", "every value of a meter; read: try a meter on the bench"),
    "transactions": ("agent.cli.transactions", "the charges that run, and the last that have ended"),
    "queue": ("agent.cli.queue", "what waits for the central system, and what was given up"),
    "variables": ("agent.cli.variables", "the settings; get and set one"),
    "events": ("agent.cli.events", "what has happened: faults, the link, orders, security events"),
    "start": ("agent.cli.orders:start", "let somebody in at an EVSE"),
    "stop": ("agent.cli.orders:stop", "end the charge at an EVSE"),
    "unlock": ("agent.cli.orders:unlock", "open the connector lock of an EVSE"),
    "availability": ("agent.cli.orders:availability", "take an EVSE out of service, or back in"),
    "doctor": ("agent.doctor.main", "check a charger before it is left alone, with a dated report"),
    "bus": ("agent.cli.bench.bus", "find the devices on a serial line, and the maps that fit them"),
    "map": ("agent.cli.bench.maps", "list the maps; check one; try one on its device"),
    "plug-and-test": ("agent.cli.plug_test", "guide through a test charge, and say what is wrong"),
    "trace": ("agent.cli.trace", "what crosses the lines, OCPP and Modbus, decoded, live"),
    "log": ("agent.cli.log", "the agent's journal in plain words, and what to do about it"),
    "support-bundle": ("agent.cli.bundle", "write all that a supporter needs into one file, no secrets"),
    "factory-reset": ("agent.cli.reset", "remove all that was remembered, but not the configuration"),
    "replay": ("agent.cli.replay", "tell a flight recording, and let the same core decide anew"),
    "simulate": ("agent.demo.simulate", "be the hardware that a configuration describes"),
    "sim": ("agent.cli.sim", "plug in, tap a card, make faults on that simulated hardware"),
    "demo": ("agent.demo.main", "play a whole charging story on this machine"),
    "version": ("", "print the version"),
}
DEFAULT_FILE = "/etc/chargepoint/agent.toml"
EXIT_CODES = """exit codes:
  0 done     1 failed, one line on stderr says why     2 wrong command line
  69 the agent is not running     78 the configuration is wrong
  82, 83 the central system ordered a soft or a hard reset (run only)
  130 interrupted by Ctrl-C       141 the reader of a pipe went away"""
RUN_HELP = f"""usage: chargepoint run [--config FILE]

Run the agent in the foreground until SIGTERM; SIGHUP reloads the configuration. FILE is {DEFAULT_FILE} if
none is given.

{EXIT_CODES}"""
INTERRUPTED, BROKEN_PIPE = 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the words say; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except AgentError as error:
        return error.exit_code if _journalled(error) else _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would complain when it flushes
        return BROKEN_PIPE


def _dispatch(words: list[str]) -> int:
    verb = words[0] if words else ""
    if verb in ("", "-h", "--help", "help"):
        print(_help(), file=sys.stdout if verb else sys.stderr)
        return Exit.OK if verb else Exit.USAGE
    if verb == "run":
        return _run(words[1:])
    if verb in ("version", "--version"):
        return _version()
    if verb not in VERBS:
        return _say(_no_such(verb), Exit.USAGE)
    module, _, function = VERBS[verb][0].partition(":")
    code: int = getattr(import_module(module), function or "main")(words[1:])
    return code


def _no_such(verb: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(verb, VERBS, 1)
    return f"chargepoint: no verb {verb!r}; {f'did you mean {near[0]}? ' if near else ''}chargepoint help lists them"


def _run(words: list[str]) -> int:
    file = DEFAULT_FILE
    match words:
        case ["-h" | "--help", *_]:
            print(RUN_HELP)
            return Exit.OK
        case []:
            pass
        case ["--config", name]:
            file = name
        case [word] if word.startswith("--config="):
            file = word.removeprefix("--config=")
        case _:
            return _say("chargepoint run: takes --config FILE and nothing else", Exit.USAGE)
    from agent.daemon import run

    return run(file)


def _version() -> int:
    from agent import __version__

    print(f"chargepoint {__version__}")
    return Exit.OK


def _help() -> str:
    verbs = "\n".join(f"  {verb:<16}{about}" for verb, (_module, about) in VERBS.items())
    return f"usage: chargepoint VERB ...\n\n{verbs}\n\nchargepoint VERB --help tells more.\n\n{EXIT_CODES}"


def _journalled(error: AgentError) -> bool:
    """A configuration that is wrong, at a start or a reload by the service manager, is an error of the journal."""
    if not isinstance(error, ConfigError) or "JOURNAL_STREAM" not in os.environ:
        return False
    from agent.log import told_journal

    return told_journal("Configuration", str(error))


def _say(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
