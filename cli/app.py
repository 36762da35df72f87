"""The commands by name, and the options that every command has.

A command's module is imported only when it is called, so that each pays for its own libraries alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import App, CycloptsError, Group, Parameter

from . import faults
from .home import settle
from .terminal import STDIN, Terminal, make_unicode_safe, terminal, use_terminal

DEFINITIONS = Group.create_ordered("Definitions")
RUNNING = Group.create_ordered("Running")
ENVIRONMENT = Group.create_ordered("Environment")
EVERYWHERE = Group.create_ordered("With every command")

COMMANDS: tuple[tuple[str, str, Group], ...] = (
    ("validate", "definitions:validate", DEFINITIONS),
    ("compile", "definitions:compile_", DEFINITIONS),
    ("graph", "definitions:graph", DEFINITIONS),
    ("convert", "formatting:convert", DEFINITIONS),
    ("fmt", "formatting:fmt", DEFINITIONS),
    ("diff", "difference:diff", DEFINITIONS),
    ("nodes", "catalogue:nodes", DEFINITIONS),
    ("schema", "catalogue:schema", DEFINITIONS),
    ("lsp", "lsp:lsp", DEFINITIONS),
    ("test", "testing:run_tests", DEFINITIONS),
    ("run", "running:run", RUNNING),
    ("register", "records:register", RUNNING),
    ("instances", "instances:instances", RUNNING),
    ("tasks", "people:tasks", RUNNING),
    ("events", "events:events", RUNNING),
    ("cache", "cache:cache", RUNNING),
    ("deploy", "serving:deploy", RUNNING),
    ("serve", "serving:serve", RUNNING),
    ("media", "media:media", RUNNING),
    ("models", "models:models", ENVIRONMENT),
    ("init", "project:init", ENVIRONMENT),
    ("doctor", "doctor:doctor", ENVIRONMENT),
)
"""Name, ``module:function`` of this room, and the group it is listed in."""


def _version() -> str:
    from importlib.metadata import version

    return f"realm {version('mirror-realm')}"


def build() -> App:
    """The application, its commands still unloaded."""
    app = App(
        name="realm",
        help="Compile workflow definitions into Prefect flows and run their nodes on Dask.",
        version=_version,
        help_format="plaintext",
        default_parameter=Parameter(negative=(), show_default=False),
    )
    # cyclopts would end the process silently; faults.report() says that it was stopped.
    app.suppress_keyboard_interrupt = app.meta.suppress_keyboard_interrupt = False
    app["--help"].group = EVERYWHERE
    app["--version"].group = EVERYWHERE
    for place, (name, target, group) in enumerate(COMMANDS):
        app.command(f"{__package__}.{target}", name=name, group=group, sort_key=place)
    app.meta.default(_launcher(app))
    return app


def load_commands(app: App) -> App:
    """Import every command, so that an overview can say what each does."""
    for name, _, _ in COMMANDS:
        app[name]
    return app


def _launcher(app: App):
    def launch(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), group=EVERYWHERE)] = False,
        debug: Annotated[bool, Parameter(group=EVERYWHERE)] = False,
    ) -> int:
        """Run one command.

        Parameters
        ----------
        quiet
            Only results and errors.
        debug
            Show tracebacks and what the engines log.
        """
        use_terminal(Terminal(quiet=quiet, debug=debug))
        result = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        return result if isinstance(result, int) else faults.OK

    return launch


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; nothing escapes but :class:`SystemExit`."""
    make_unicode_safe()
    settle()
    # A lone hyphen means standard input; the parser would take it for an option.
    tokens = [STDIN if word == "-" else word for word in (sys.argv[1:] if arguments is None else arguments)]
    # The command's own terminal is made by the launcher; until then, what is on the line decides.
    use_terminal(Terminal(debug="--debug" in tokens))
    try:
        app = build()
        if all(token.startswith("-") for token in tokens):
            load_commands(app)
        code = app.meta(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        return _usage(error)
    except BrokenPipeError:
        # Whoever read our output has seen enough (`realm nodes | head`); do not fail again while closing it.
        sys.stdout = None  # pyright: ignore[reportAttributeAccessIssue]
        return faults.OK
    except (Exception, BaseExceptionGroup, KeyboardInterrupt) as error:  # noqa: BLE001 - the outermost border: report() decides
        return faults.report(error, terminal())
    return code if isinstance(code, int) else faults.OK


def _usage(error: CycloptsError) -> int:
    error.verbose = False
    message = str(error).strip() or type(error).__name__
    words = ["realm", *(error.command_chain or ())]
    faults.complain(terminal(), message, f"`{' '.join(words)} --help` shows how it is used")
    return faults.USAGE
