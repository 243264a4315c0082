"""How far a run is: a pure function of its ledger, its summary and the driver's last sign of life.

Works while the run goes on, after it was killed and after it has ended.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from siked_ray.core.stage import Kind
from siked_ray.data.ledger import StageRecord, of_kind

#: The driver writes every five seconds; after this long without a word it is taken for dead.
_SILENT_S = 60.0
#: Stages of an iteration in their order.
_KINDS = (Kind.ROLLOUTS, Kind.MIXTURE, Kind.TRAINING, Kind.ANSWERS, Kind.EVALUATION, Kind.DECISION)

Status = dict[str, Any]


def status_of(
    *,
    run: str,
    records: Sequence[StageRecord],
    summary: dict[str, Any],
    sign_of_life: dict[str, Any] | None,
    max_iterations: int | None,
    now: float,
) -> Status:
    """Keys: run, state, silent_s, note, iteration, max_iterations, stages (committed: name, seconds), current (name,
    done, total, unit, figures, per_s, eta_s) or None, eta_s (of the whole run, at most) or None, accuracies.

    `max_iterations` is None for a recipe that has no such bound: how far it has to go is not known then.
    """
    sign = sign_of_life or {}
    silent_s = max(now - sign["updated_at"], 0.0) if sign else None
    state = _state(summary["status"], sign.get("state"), silent_s)
    current = _current(sign.get("stages", []), now if state == "running" else sign.get("updated_at", now))
    goes_on = state in ("running", "silent", "stopped", "failed")
    return {
        "run": run,
        "state": state,
        "silent_s": silent_s,
        "note": sign.get("note", ""),
        "iteration": _iteration(records, max_iterations),
        "max_iterations": max_iterations,
        "stages": [{"name": one.stage, "seconds": one.seconds, "committed_at": one.committed_at} for one in records],
        "current": current if goes_on else None,
        "eta_s": _eta_s(records, current, max_iterations) if goes_on else None,
        "accuracies": [
            {"iteration": one["iteration"], **{name: scores["free"] for name, scores in one["evaluation"].items()}}
            for one in summary.get("iterations", [])
            if "evaluation" in one
        ],
    }


def as_text(status: Status) -> str:
    """The status on a few lines."""
    lines = [f"{status['run']}: {_state_line(status)}"]
    if status["state"] != "finished" and status["max_iterations"] is not None:
        lines.append(f"iteration {status['iteration']} of at most {status['max_iterations']}")
    current = status["current"]
    if current:
        counts = f" {current['done']:,}/{current['total']:,} {current['unit']}" if current["total"] else ""
        figures = [f"{name} {value}" for name, value in current["figures"].items()]
        if current["per_s"]:
            figures.insert(0, f"{current['per_s']:,.1f} {current['unit']}/s")
        eta = f" · {_duration(current['eta_s'])} to go" if current["eta_s"] is not None else ""
        lines.append(f"now: {current['name']}{counts}{''.join(f' · {one}' for one in figures)}{eta}")
    if status["eta_s"] is not None:
        lines.append(f"the whole run: {_duration(status['eta_s'])} to go at most, by the time that stages took so far")
    lines += [f"done: {one['name']:<18} {_duration(one['seconds'])}" for one in status["stages"]]
    for one in status["accuracies"]:
        shown = "  ".join(f"{name} {value:.1%}" for name, value in one.items() if name != "iteration")
        lines.append(f"free accuracy, iteration {one['iteration']}: {shown}")
    return "\n".join(lines)


def _state(summary_status: str, driver_state: str | None, silent_s: float | None) -> str:
    """ "running", "silent" (no sign of life: killed, or lost), "stopped", "finished", "failed" or "new"."""
    if summary_status in ("finished", "failed"):
        return summary_status
    if driver_state in ("stopped", "failed"):
        return driver_state
    if silent_s is None:
        return "new" if summary_status == "new" else "silent"
    return "silent" if silent_s > _SILENT_S else "running"


def _state_line(status: Status) -> str:
    words = {
        "running": "running",
        "new": "not started",
        "finished": "finished",
        "failed": f"failed: {status['note']}" if status["note"] else "failed",
        "stopped": "stopped; the same command continues it",
        "silent": "no sign of life; if it was killed, the same command continues it",
    }
    heard = status["silent_s"]
    ago = f" (last heard of {_duration(heard)} ago)" if heard is not None and status["state"] != "finished" else ""
    return words[status["state"]] + ago


def _iteration(records: Sequence[StageRecord], max_iterations: int | None) -> int | None:
    """The iteration that goes on: the one after the last that was decided. Without a bound nobody knows of another one:
    the last that was begun, None where no stage has an iteration."""
    begun = [one.id.iteration for one in records if one.id.iteration is not None]
    if max_iterations is None:
        return max(begun, default=None)
    decided = [one.id.iteration for one in of_kind(records, Kind.DECISION) if one.id.iteration is not None]
    return min(max([0, *begun, *(number + 1 for number in decided)]), max_iterations)


def _current(stages: Sequence[dict[str, Any]], now: float) -> dict[str, Any] | None:
    """The latest stage that has not ended, with its speed since the first count."""
    stage = next((one for one in reversed(stages) if one["finished_at"] is None), None)
    if stage is None:
        return None
    per_s = _speed(stage)
    to_do = stage["total"] - stage["done"]
    return {
        "name": stage["name"],
        "unit": stage["unit"],
        "done": stage["done"],
        "total": stage["total"],
        "figures": stage["figures"],
        "seconds": now - stage["started_at"],
        "since": datetime.fromtimestamp(stage["started_at"]).isoformat(timespec="seconds"),
        "per_s": per_s,
        "eta_s": to_do / per_s if per_s and stage["total"] else None,
    }


def _speed(stage: dict[str, Any]) -> float | None:
    if not stage["counted_from"]:
        return None
    done, at = stage["counted_from"]
    seconds = stage["counted_at"] - at
    return (stage["done"] - done) / seconds if seconds > 0 and stage["done"] > done else None


def _eta_s(records: Sequence[StageRecord], current: dict[str, Any] | None, max_iterations: int | None) -> float | None:
    """Seconds until the last iteration has ended, were none to stop early; None until each kind has been timed once."""
    if max_iterations is None:
        return None
    took = {one.id.kind: one.seconds for one in records if one.id.iteration is not None}
    took.setdefault(Kind.DECISION, 0.0)
    took.setdefault(Kind.ANSWERS, 0.0)  # in 0.1 a part of the evaluation
    kinds = (*_KINDS, Kind.SAMPLES) if Kind.SAMPLES in took else _KINDS
    if not set(kinds) <= took.keys():
        return None
    done = {(one.id.iteration, one.id.kind) for one in records}
    to_do = [
        (iteration, kind) for iteration in range(max_iterations + 1) for kind in kinds if (iteration, kind) not in done
    ]
    seconds = sum(took[kind] for _, kind in to_do)
    return max(seconds - (current["seconds"] if current else 0.0), 0.0) if to_do else 0.0


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
