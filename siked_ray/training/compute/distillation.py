"""Objectives that hold the student against its teacher, beside cross-entropy (arXiv 2407.19409)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from siked_ray.core.objective import ObjectiveSpec
from siked_ray.data.payload import TopK
from siked_ray.training.compute.divergences import Divergence, divergence_of, student_cells, teacher_cells
from siked_ray.training.compute.head import finished, hidden_at_head, logits_of, loss_at_head, whole
from siked_ray.training.compute.model import PROJECTOR
from siked_ray.training.compute.objectives import Ends, Objective, model_inputs, on_device
from siked_ray.training.compute.tensors import Batch


def distillation_of(spec: ObjectiveSpec, teacher: Any, ends: Ends) -> Objective:
    """The objective that a spec means, out of the rows' columns or with a teacher in the worker."""
    options = dict(spec.options)
    weights = {"weight": options.get("weight", 1.0), "cross_entropy_weight": options.get("cross_entropy_weight", 1.0)}
    corrected = {"wrong_weight": options.get("wrong_weight", 0.0), "threshold": options.get("divergence_threshold")}
    assert spec.with_teacher or teacher is not None, "an objective with a teacher is made where there is one"
    if spec.kind == "hidden_mse":
        return HiddenStates(teacher=teacher, **weights)
    divergence = divergence_of(spec.kind, beta=options.get("beta", 0.5))
    if spec.with_teacher:
        return FromTopTokens(divergence=divergence, weighing=Weighing(**weights, **corrected))
    temperature = options.get("temperature", 1.0)
    weighing = Weighing(**weights, **corrected)
    return FromTeacher(divergence=divergence, temperature=temperature, teacher=teacher, ends=ends, weighing=weighing)


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighing:
    """`cross_entropy_weight` · CE + `weight` · D for a target of a right text; `wrong_weight` · D for one of a wrong
    text, with a `threshold` (in nats) from the first target on at which D is above it."""

    weight: float
    cross_entropy_weight: float
    wrong_weight: float = 0.0
    threshold: float | None = None

    def sums(self, batch: Batch, device: Any) -> "Callable[[Any, Any, slice], Any]":
        """(cross-entropy [N], D [N], which targets) → their summed loss; chunks come in their order."""
        if batch.wrong_L is None:
            return lambda own_N, apart_N, which: self.cross_entropy_weight * own_N.sum() + self.weight * apart_N.sum()
        wrong_L = on_device(batch.wrong_L, device)
        counts_L = self._counts(wrong_L) if self.threshold is not None else None

        def summed(own_N: Any, apart_N: Any, which: slice) -> Any:
            is_wrong_N = wrong_L[which] >= 0
            corrected_N = apart_N if counts_L is None else apart_N * counts_L(apart_N.detach(), which)
            right_N = self.cross_entropy_weight * own_N + self.weight * apart_N
            return torch.where(is_wrong_N, self.wrong_weight * corrected_N, right_N).sum()

        return summed

    def _counts(self, wrong_L: Any) -> "Callable[[Any, slice], Any]":
        """(D [N], which targets) → whether each counts: D has been above the threshold in its example. Targets of an
        example are one after the other, perhaps in several chunks."""
        size = int(wrong_L.max()) + 2 if len(wrong_L) else 1
        begun_E = torch.zeros(size, dtype=torch.bool, device=wrong_L.device)

        def counts(apart_N: Any, which: slice) -> Any:
            example_N = wrong_L[which]  # −1 is the last place, of no example
            above_N = (apart_N > self.threshold).long()
            so_far_N = above_N.cumsum(0)
            is_first_N = torch.ones_like(example_N, dtype=torch.bool)
            is_first_N[1:] = example_N[1:] != example_N[:-1]
            before_N = torch.where(is_first_N, so_far_N - above_N, 0).cummax(0).values
            counted_N = (so_far_N > before_N) | begun_E[example_N]
            begun_E[example_N[counted_N]] = True
            return counted_N

        return counts


@dataclass(frozen=True, kw_only=True, slots=True)
class FromTopTokens:
    """`cross_entropy_weight` · CE + `weight` · D over what rows say of the teacher's most likely tokens: of its top K,
    and of all others as one. A target of which they say nothing has cross-entropy alone."""

    divergence: Divergence
    weighing: Weighing

    def loss(self, model: Any, batch: Batch, device: Any) -> Any:
        targets_L, summed = on_device(batch.targets_L, device), self.weighing.sums(batch, device)
        teacher = None if batch.payload is None else _Known.of(batch.payload, device)

        def loss_of(logits_NV: Any, which: slice) -> Any:
            logits_NV = finished(model, logits_NV)
            own_N = _cross_entropy(logits_NV, targets_L[which])
            if teacher is None:
                return summed(own_N, torch.zeros_like(own_N), which)
            student_NC = student_cells(logits_NV, teacher.token_ids_LK[which])
            apart_N = self.divergence(teacher.cells_LC[which], student_NC)
            return summed(own_N, torch.where(teacher.is_known_L[which], apart_N, 0.0), which)

        return loss_at_head(model, model_inputs(batch, device), on_device(batch.predictors_L, device), loss_of)


@dataclass(frozen=True, kw_only=True, slots=True)
class FromTeacher:
    """`cross_entropy_weight` · CE + `weight` · τ² · D(softmax(teacher/τ), softmax(student/τ)) with a frozen teacher.

    τ² keeps gradients as large as they are without a temperature (arXiv 1503.02531). Where one vocabulary has been
    padded beyond the other, what is beyond is left out of D. Where they end with two tokens (`ends`: the student's, the
    teacher's), what the teacher gives to its own counts for the student's, and the other way round: a student held to a
    teacher that never gives its end would learn to go on and on. A strategy's tag is the student's alone: a teacher
    that has never written one would make it write none, so its tokens have no D.
    """

    divergence: Divergence
    weighing: Weighing
    temperature: float
    teacher: Any
    ends: Ends = None

    def loss(self, model: Any, batch: Batch, device: Any) -> Any:
        targets_L, predictors_L = on_device(batch.targets_L, device), on_device(batch.predictors_L, device)
        inputs, summed = model_inputs(batch, device), self.weighing.sums(batch, device)
        hidden_LH = hidden_at_head(self.teacher, inputs, predictors_L)
        is_tag_L = None if batch.is_tag_L is None else on_device(batch.is_tag_L, device)

        def loss_of(logits_NV: Any, which: slice) -> Any:
            logits_NV = finished(model, logits_NV)
            with torch.no_grad():
                teacher_NV = _with_ends(logits_of(self.teacher, hidden_LH[which]), self.ends)
            size = min(logits_NV.shape[-1], teacher_NV.shape[-1])
            apart_N = self.divergence(
                *(torch.log_softmax(one[:, :size] / self.temperature, dim=-1) for one in (teacher_NV, logits_NV))
            )
            if is_tag_L is not None:
                apart_N = torch.where(is_tag_L[which], 0.0, apart_N)
            return summed(_cross_entropy(logits_NV, targets_L[which]), self.temperature**2 * apart_N, which)

        return loss_at_head(model, inputs, predictors_L, loss_of)


@dataclass(frozen=True, kw_only=True, slots=True)
class HiddenStates:
    """`cross_entropy_weight` · CE + `weight` · mean over dimensions of (P s − t)², of the last hidden states of student
    and teacher. P is the student's module PROJECTOR, learned with it."""

    weight: float
    cross_entropy_weight: float
    teacher: Any

    def loss(self, model: Any, batch: Batch, device: Any) -> Any:
        targets_L, predictors_L = on_device(batch.targets_L, device), on_device(batch.predictors_L, device)
        inputs = model_inputs(batch, device)
        teacher_LH = hidden_at_head(self.teacher, inputs, predictors_L).float()

        def loss_of(logits_NV: Any, which: slice) -> Any:
            return self.cross_entropy_weight * _cross_entropy(finished(model, logits_NV), targets_L[which]).sum()

        def loss_of_hidden(hidden_LH: Any) -> Any:
            projected_LH = getattr(whole(model), PROJECTOR)(hidden_LH).float()
            return self.weight * (projected_LH - teacher_LH).square().sum() / teacher_LH.shape[-1]

        return loss_at_head(model, inputs, predictors_L, loss_of, loss_of_hidden)


@dataclass(frozen=True, slots=True)
class _Known:
    """A batch's payload as tensors; ids of targets of which nothing is known are those of some token."""

    token_ids_LK: Any
    cells_LC: Any
    is_known_L: Any

    @classmethod
    def of(cls, payload: TopK, device: Any) -> "_Known":
        return cls(
            token_ids_LK=on_device(payload.token_ids_RK, device).long().clamp_min(0),
            cells_LC=teacher_cells(on_device(payload.log_probs_RK, device), on_device(payload.log_tail_R, device)),
            is_known_L=on_device(payload.is_known_R, device),
        )


def _with_ends(logits_NV: Any, ends: Ends) -> Any:
    """A teacher's logits with the student's end for its own."""
    if ends is None:
        return logits_NV
    logits_NV[:, list(ends)] = logits_NV[:, list(reversed(ends))]
    return logits_NV


def _cross_entropy(logits_NV: Any, targets_N: Any) -> Any:
    return torch.nn.functional.cross_entropy(logits_NV, targets_N, reduction="none")
