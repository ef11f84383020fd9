"""The training loop: batches in, updates, checkpoints and evaluations out."""

import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from thinc.api import Config
from torch import Tensor

from ..bilm import BiLMState
from ..bilm.parallel import alone, here
from ..corpus.corpus import Corpus
from ..disk import DiskError
from ..language import LanguageModel, save_language_model
from ..language.sampler import LogUniformSampler
from .batches import Batch, Batches
from .config import PretrainingConfig
from .corpora import vocabulary_of
from .distributed import Ranks, n_processors_of_rank
from .errors import RunError
from .evaluation import evaluate, heldout_sentences
from .new_model import description
from .objective import Objective
from .optimizer import Optimizer
from .precision import uses_bfloat16
from .progress import Progress
from .run_state import RunState
from .signals import first_signal
from .snapshots import Snapshots
from .type_ids import type_ids
from .windows import Windows

BEST, LAST = "model-best", "model-last"
# A smoothed loss so many nats above its lowest is no noise: each nat is a factor of e in perplexity.
DIVERGENCE = 2.0
# Processes that make batches for a GPU: enough for the fastest steps that were seen.
MAX_WORKERS = 8


class Trainer:
    """Trains a language model on a corpus. One trainer a rank, all in step.

    Args:
        model: To be trained, in place.
        corpus: What it reads.
        config: The settings.
        source: The config as it was read, to be saved with the models.
        output: Directory for the models; written by the first rank alone.
        ranks: All of them.
        snapshots: What there is of this run, and will be; written by the first rank alone.
        earlier: The facts of the training of the model that this one goes on from, to be saved with the models.
    """

    def __init__(
        self,
        model: LanguageModel,
        corpus: Corpus,
        config: PretrainingConfig,
        source: Config,
        output: Path,
        ranks: Ranks,
        snapshots: Snapshots,
        earlier: dict[str, Any] | None = None,
    ) -> None:
        self.model, self.corpus, self.config, self.source = model, corpus, config, source
        self.output, self.ranks, self.snapshots, self.earlier = output, ranks, snapshots, earlier
        settings = self.settings = config.training
        n_lanes = settings.batch_size * ranks.size
        first = settings.batch_size * ranks.rank
        self.windows = Windows(
            corpus,
            corpus.classes(model.vocabulary),
            type_ids(corpus.words, model.bilm),
            seed=config.system.seed,
            unroll=settings.unroll,
            n_lanes=n_lanes,
            lanes=range(first, first + settings.batch_size),
            carry_state=settings.carry_state,
        )
        self.tokens_per_step = n_lanes * settings.unroll
        limits = [settings.max_steps, settings.max_epochs * self.windows.n_windows]
        self.total_steps = min(limit for limit in limits if limit)
        # With fewer than twice as many words as negatives, all of them are exact and cost no more.
        sampled = 2 * settings.negatives <= len(model.vocabulary)
        sampler = LogUniformSampler(len(model.vocabulary), settings.negatives) if sampled else None
        objective = Objective(model)
        masked = objective.recurrence.masked_size
        self.batches = Batches(self.windows, sampler, config.system.seed, settings.dropout, masked)
        self.optimizer = Optimizer(model, settings.optimizer, self.total_steps)
        self.state = BiLMState.zeros(model.bilm.config, settings.batch_size, ranks.device)
        self.run_state = RunState()
        self.heldout = list(heldout_sentences(corpus, settings.evaluation.max_words))
        if ranks.device.type == "cuda":
            with self._autocast():
                objective.recurrence.capture(settings.batch_size, settings.unroll, bool(settings.dropout))
        self._parallel = ranks.wrap(objective)
        self._saved_at = time.monotonic()
        self._asked_to_stop = False
        self._identity = self._find_identity()
        self._recent: list[tuple[float, float]] = []  # loss and seconds of the steps since the last line of the log

    # What a run goes on from

    def resume(self) -> None:
        """Take up the newest snapshot, where there is one.

        Raises:
            RunError: It is damaged, or of another corpus or batch, or the ranks see different ones.
        """
        steps = self.snapshots.steps()
        if not self.ranks.all_equal(str(steps[-1:])):
            raise RunError(
                f"The machines of this run see different checkpoints in {self.snapshots.directory}. Put the newest, "
                f"of the machine of the first rank, on all of them, or --output on a disk that they share."
            )
        if not steps:
            return
        tensors, facts = self.snapshots.read(steps[-1])
        for key, value in self._identity.items():
            if facts["identity"][key] != value:
                raise RunError(
                    f"The checkpoints in {self.snapshots.directory} were made with {key} {facts['identity'][key]!r}, "
                    f"but now it is {value!r}. Go on with what they were made with, or give another --output."
                )
        self.model.load_state_dict(_under("model.", tensors))
        self.optimizer.load_state(_under("optimizer.", tensors), steps[-1])
        lanes, device = self.windows.lanes, self.ranks.device
        self.state = BiLMState(
            tensors["state.hidden"][:, :, lanes.start : lanes.stop].to(device),
            tensors["state.cell"][:, :, lanes.start : lanes.stop].to(device),
        )
        self.run_state = RunState(**facts["run_state"])

    def _find_identity(self) -> dict[str, Any]:
        """What has to be the same for a run to go on."""
        identity = {"corpus": self.corpus.fingerprint, "sequences in all": self.tokens_per_step // self.settings.unroll}
        if self.config.vocabulary.path is not None:
            vocabulary = vocabulary_of(self.config, self.corpus)
            identity["vocabulary"] = sha256("\n".join(vocabulary).encode("utf8")).hexdigest()
        return identity

    def _save(self) -> None:
        hidden, cell = self.ranks.gather(self.state.hidden, dim=2), self.ranks.gather(self.state.cell, dim=2)
        if self.ranks.is_first:
            tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
            tensors |= {f"optimizer.{name}": tensor for name, tensor in self.optimizer.state().items()}
            tensors |= {"state.hidden": hidden, "state.cell": cell}
            facts: dict[str, Any] = {"identity": self._identity, "run_state": asdict(self.run_state)}
            facts |= {"model": description(self.model), "earlier": self.earlier}
            self.snapshots.write(self.run_state.step, tensors, facts)
        self.ranks.barrier()  # a rank that ends before all is written has torchrun end the one that writes
        self._saved_at = time.monotonic()

    # The loop

    @property
    def finished(self) -> bool:
        """Whether all steps are made, or patience is at its end."""
        patience = self.settings.patience
        return self.run_state.step >= self.total_steps or bool(patience and self.run_state.stale >= patience)

    def run(self, progress: Progress | None) -> None:
        """Train to the end. What goes on from another model is measured before its first step.

        Args:
            progress: Of the first rank; None for the others.

        Raises:
            RunError: The loss is not finite or grows for good; or the disk does not take a checkpoint or a model; or,
                after a checkpoint was written, the process is asked to end (SIGTERM, SIGINT).
        """
        with closing(self._batches_ahead()) as batches, first_signal(self._stop):
            if self.run_state.step == 0 and self.config.initialize.source is not None:
                self._evaluate(progress)
            while not self.finished:
                saving, stopping = self._step(batches, progress)
                if self.run_state.step % self.settings.evaluation.every == 0 or self.run_state.step == self.total_steps:
                    self._evaluate(progress)
                if saving or stopping or self.finished:
                    self._save()
                if stopping:
                    raise RunError(
                        f"Stopped at step {self.run_state.step:,} because a signal asked for it. All is saved: the "
                        f"same command goes on from here."
                    )
        if self.ranks.is_first:
            self._write_model(LAST)

    def _stop(self) -> None:
        """End the run after the step at hand."""
        self._asked_to_stop = True

    def _batches_ahead(self) -> Generator[Batch, None, None]:
        """From the step at hand on.

        A processor that computes the steps has no time to spare, and needs little for making batches.
        """
        on_gpu = self.ranks.device.type == "cuda"
        steps = range(self.run_state.step, self.total_steps)
        return self.batches.of_steps(steps, n_workers=min(MAX_WORKERS, n_processors_of_rank()) if on_gpu else 0)

    def _autocast(self) -> torch.autocast:
        enabled = uses_bfloat16(self.settings.precision, self.ranks.device)
        # Captured kernels would go on reading what the cache held when they were captured.
        return torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)

    def _step(self, batches: Iterator[Batch], progress: Progress | None) -> tuple[bool, bool]:
        """One update. Returns whether a snapshot is due, and whether to stop; the same on all ranks."""
        run_state, started = self.run_state, time.monotonic()
        batch = next(batches)
        call = alone if self.ranks.device.type == "cpu" else here
        loss = call(lambda: self._gradients(batch))
        total, due, stop = self.ranks.sum([loss, float(self._is_due()), float(self._asked_to_stop)])
        norm = self.optimizer.clip()
        self._check(total / self.ranks.size, norm)
        rate = self.optimizer.apply(run_state.step)
        run_state.step += 1
        seconds = time.monotonic() - started
        run_state.seconds += seconds
        self._recent.append((total / self.ranks.size, seconds))
        if progress:
            progress.advance()
            if run_state.step % self.settings.log_every == 0 or run_state.step == self.total_steps:
                progress.train({**self._record(), **self._pace(), "learn_rate": rate, "grad_norm": norm})
                self._recent = []
        return bool(due), bool(stop)

    def _gradients(self, batch: Batch) -> float:
        """Run the model, forward and backward. Returns the loss."""
        keep = None if batch.keep is None else torch.from_numpy(batch.keep).to(self.ranks.device)
        with self._autocast():
            loss, self.state = self._parallel(batch.window, self.state, batch.negatives, keep)
        loss.backward()
        return float(loss.detach())

    def _is_due(self) -> bool:
        """Whether to save after this step. Minutes are the first rank's, for clocks differ."""
        settings = self.settings.checkpoints
        by_steps = settings.every_steps and (self.run_state.step + 1) % settings.every_steps == 0
        by_minutes = settings.every_minutes and time.monotonic() - self._saved_at >= 60 * settings.every_minutes
        return self.ranks.is_first and bool(by_steps or by_minutes)

    def _check(self, loss: float, norm: float) -> None:
        """Before an update: has training gone wrong?"""
        run_state = self.run_state
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise RunError(self._gone_wrong(f"the loss is {loss} and the gradient's norm {norm}"))
        run_state.observe_loss(loss)
        if run_state.loss > run_state.lowest_loss + DIVERGENCE:
            raise RunError(
                self._gone_wrong(f"the loss has risen from {run_state.lowest_loss:.2f} to {run_state.loss:.2f} nats")
            )

    def _gone_wrong(self, what: str) -> str:
        settings = self.settings.optimizer
        steps = self.snapshots.steps()
        kept = f"The last good checkpoint, of step {steps[-1]:,}, is kept. " if steps else ""
        best = self.output / BEST
        or_from = f" or with --init-from {best}" if best.exists() else ""
        return (
            f"Training diverged at step {self.run_state.step:,}: {what}. {kept}Lower training.optimizer.learn_rate "
            f"(now {settings.learn_rate}) or training.optimizer.grad_clip (now {settings.grad_clip}), or raise "
            f"training.optimizer.warmup_steps (now {settings.warmup_steps}), and train into another --output, from the "
            f"start{or_from}."
        )

    # Evaluation and output

    def _evaluate(self, progress: Progress | None) -> None:
        if not self.heldout:
            return
        found = evaluate(self.model, self.heldout, self.ranks)
        if self.run_state.observe_evaluation(found) and self.ranks.is_first:
            self._write_model(BEST)
        if progress:
            loss = {"loss": self.run_state.loss} if self.run_state.step else {}
            progress.evaluate({**self._record(), **loss, **found})

    def _record(self) -> dict[str, Any]:
        """What a line of the log says. A token is counted once, though both directions read it."""
        run_state = self.run_state
        return {
            "step": run_state.step,
            "epoch": run_state.step / self.windows.n_windows,
            "tokens": run_state.step * self.tokens_per_step,
            "seconds": round(run_state.seconds, 3),
        }

    def _pace(self) -> dict[str, float]:
        """Mean loss and speed since the last line of the log."""
        losses, seconds = np.array(self._recent).T
        speed = len(losses) * self.tokens_per_step / seconds.sum()
        return {"loss": float(losses.mean()), "tokens_per_second": float(speed)}

    def _write_model(self, name: str) -> None:
        record, run_state = self._record(), self.run_state
        facts = {key: record[key] for key in ("step", "epoch", "tokens")}
        about = {"licence": self.config.about.licence, "author": self.config.about.author}
        facts |= {"language": self.config.nlp.get("lang"), **about}
        facts |= {"corpus_words": self.corpus.n_words, "vocabulary": len(self.model.vocabulary)}
        if run_state.latest and run_state.latest["step"] == run_state.step:
            facts |= run_state.latest
        facts |= {"before": run_state.before} if run_state.before else {}
        facts |= {"earlier": self.earlier} if self.earlier else {}
        try:
            save_language_model(self.model, self.output / name, self.source, facts)
        except DiskError as error:
            raise RunError(f"{error} Then run the same command again to go on from the last checkpoint.") from None


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
