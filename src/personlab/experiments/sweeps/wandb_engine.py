"""The trials of a sweep by W&B: its server hands out the parameters, agents on this machine run them."""

from __future__ import annotations

import netrc
import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from personlab.errors import InputError
from personlab.experiments.sweeps.space import Sweep
from personlab.experiments.trials.process import TrialProcess, trial_environment
from personlab.experiments.wandb_names import project_named


def run_with_wandb(sweep: Sweep, trials: int, devices: list[str | None]) -> tuple[str, int]:
    """Register a sweep at W&B and run its agents until it ends.

    Args:
        sweep: The sweep; its file is sent as it is, but for nested parameters, which have their dotted names: of those
            W&B would give a program one argument with all of them.
        trials: How many there are to be.
        devices: Of each agent, as `CUDA_VISIBLE_DEVICES`; as many agents.

    Returns:
        The sweep's path, `entity/project/id`, and the number of agents that failed. None outlives this, however it
        ends; with the option to forward signals, their trials save what they have.

    Raises:
        InputError: Without a key of W&B, or if its service refuses.
    """
    if not has_key():
        raise InputError(
            "sweep: --engine wandb needs an account of W&B: wandb login, or WANDB_API_KEY; --engine optuna needs none"
        )
    import wandb  # takes a second

    project = sweep.project or os.environ.get("WANDB_PROJECT") or project_named(sweep.name)
    try:
        content = dict(sweep.content or {})
        content |= {"run_cap": trials, "parameters": dict(_flat(content.get("parameters", {})))}
        number = wandb.sweep(content, entity=sweep.entity, project=project)
    except Exception as error:  # each layer of its client has errors of its own
        told = str(error).strip().split("\n")[0]
        raise InputError(f"{sweep.path}: W&B did not take the sweep ({told})") from error
    path = "/".join(part for part in (sweep.entity, project, str(number)) if part)
    command = [sys.executable, "-m", "wandb", "agent", "--forward-signals", path]
    with ThreadPoolExecutor(max(1, len(devices))) as pool:
        agents = [TrialProcess(command, trial_environment(one, len(devices))) for one in devices]
        try:
            codes = [agent.wait() for agent in agents]
        finally:
            list(pool.map(lambda agent: agent.stop(), agents))  # all are asked at once
    return path, sum(code != 0 for code in codes)


def _flat(parameters: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, about in parameters.items():
        if isinstance(about, Mapping) and "parameters" in about:
            yield from _flat(about["parameters"], f"{above}{name}.")
        else:
            yield f"{above}{name}", about


def has_key() -> bool:
    """Whether there is a key for W&B's service, in the environment or where `wandb login` puts it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
