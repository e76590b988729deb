"""How this repository's own tests are run."""

from __future__ import annotations

import pytest

_KINDS_LEFT_OUT = ("slow", "gpu")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Spread a plain `pytest` over the cores; whoever names files, marks or -n gets what they asked for."""
    if hasattr(config, "workerinput"):  # a worker that spread its work would start workers without end
        return
    plain = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.markexpr
    wishes = ("numprocesses", "dist", "collectonly", "usepdb", "apr_plan")
    asked = any(getattr(config.option, wish, None) not in (None, "no", False) for wish in wishes)
    if plain and not asked and config.pluginmanager.hasplugin("xdist"):
        config.option.numprocesses = "auto"
        config.option.dist = "worksteal"  # a few files of long tests would keep one worker busy to the end


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long or needs hardware, unless -m names it or the test itself is named."""
    expression = config.option.markexpr or ""
    named = any("::" in argument for argument in config.args)
    left_out = [kind for kind in _KINDS_LEFT_OUT if kind not in expression]
    if named or not left_out:
        return
    kept = [item for item in items if not any(item.get_closest_marker(kind) for kind in left_out)]
    dropped = [item for item in items if item not in kept]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept
