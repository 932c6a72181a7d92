"""Defects for what all papers share: checkpoints, resumes, records, sums, verdicts, intervals."""

from tests.mutants import Mutation, Suite

CHECKPOINT, RESUME, RUNDIR = (
    "common/runs/checkpoint.py",
    "common/cli/resume.py",
    "common/runs/directory.py",
)
POSITION, WRITER = "common/runs/position.py", "common/runs/writer.py"
ITERATORS = "common/runs/loop.py"
RUN, METRICS, SUMS = "common/runs/run.py", "common/runs/metrics_file.py", "common/runs/running.py"
VERDICTS, ROWS, MEASURED = (
    "common/reports/verdicts.py",
    "common/reports/target_rows.py",
    "common/reports/measured.py",
)
READ_BACK, GROUPING = "common/runs/read_back.py", "common/reports/grouping.py"
ENVIRONMENT, DOCUMENTS = "common/runs/environment.py", "common/files/documents.py"

CHECKPOINTS = (
    Mutation(
        "a checkpoint without the random generators' states",
        CHECKPOINT,
        "if backend.is_tensor(t)} | backend.rng_state()",
        "if backend.is_tensor(t)}",
    ),
    Mutation(
        "a resume that leaves the generators where they are",
        CHECKPOINT,
        'backend.load_rng_state({n: t for n, t in whole.items() if n.startswith("rng.")})',
        "pass",
    ),
    Mutation(
        "tied tensors stored twice",
        CHECKPOINT,
        "first.setdefault(backend.identity(t), name)",
        "first.setdefault(name, name)",
    ),
    Mutation(
        "the oldest checkpoint where the link is missing",
        CHECKPOINT,
        'sorted(folder.glob("step-*"), reverse=True)',
        'sorted(folder.glob("step-*"))',
    ),
    Mutation(
        "the best checkpoint swept away",
        CHECKPOINT,
        "if path.is_symlink() or path.name in named:",
        "if path.is_symlink() or path.name == max(named):",
    ),
    Mutation(
        "links that a moved run loses",
        CHECKPOINT,
        "temporary.symlink_to(target)",
        "temporary.symlink_to(link.parent.resolve() / target)",
    ),
    Mutation(
        "names checked in one direction",
        CHECKPOINT,
        "for name in sorted(names ^ mine.keys()):",
        "for name in sorted(names - mine.keys()):",
    ),
    Mutation(
        "dtypes not checked",
        CHECKPOINT,
        'for what in ("shape", "dtype"):',
        'for what in ("shape",):',
    ),
    Mutation(
        "the notes checked, not the tensors",
        CHECKPOINT,
        "for held in (note, there):",
        "for held in (note,):",
    ),
    Mutation(
        "a torn checkpoint of a process with this number stays in the way",
        CHECKPOINT,
        "        shutil.rmtree(temporary, ignore_errors=True)\n        try:",
        "        try:",
    ),
)
RESUMES = (
    Mutation(
        "a run without a checkpoint is resumed: it starts anew",
        RUNDIR,
        "if checkpoint.newest(run) is None:",
        "if False:",
    ),
    Mutation(
        "the sums of an epoch that has begun are lost",
        POSITION,
        'self.metrics.load_states(self.counting.own(remembered["sums"]))',
        "pass",
    ),
    Mutation(
        "the best epoch before a resume is forgotten",
        POSITION,
        'remembered["line"], remembered["best"]',
        'remembered["line"], None',
    ),
    Mutation(
        "the time before a resume is forgotten",
        POSITION,
        'self.seconds, self.epoch_seconds = remembered["seconds"]',
        "pass",
    ),
    Mutation(
        "a resume that begins its epoch again",
        ITERATORS,
        "train.epoch(at.epoch, at.batch)",
        "train.epoch(at.epoch, 0)",
    ),
    Mutation(
        "what a checkpoint remembers is not checked",
        WRITER,
        'at.check(remembered, f"{last}/state.json: run")',
        "pass",
    ),
    Mutation(
        "the environment is read after the metrics were cut",
        WRITER,
        "            environment.recorded(self.directory)\n",
        "",
    ),
    Mutation(
        "another script's run is resumed",
        RESUME,
        "if wrote != script:",
        "if not wrote:",
    ),
    Mutation(
        "one allowed change allows all",
        RESUME,
        "and not allowed & {name, spoken.name}:",
        "and not allowed:",
    ),
    Mutation(
        "options that the script has not are dropped",
        RESUME,
        "    if strange:",
        "    if strange == options:",
    ),
    Mutation(
        "recorded values of any type are taken",
        RESUME,
        "if fault := documents.fault(",
        "if not known and documents.fault(",
    ),
)
RECORDS = (
    Mutation(
        "lines after the checkpoint are kept, and told twice",
        METRICS,
        "self._file.truncate(keep_bytes)",
        "pass",
    ),
    Mutation(
        "metrics that are too short are filled up",
        METRICS,
        "if len(data) < size:",
        "if not size:",
    ),
    Mutation(
        "the lines before a resume are not remembered",
        METRICS,
        "self.lines, self._path = kept(path, keep_bytes), path",
        "self.lines, self._path = kept(path, keep_bytes)[:0], path",
    ),
    Mutation(
        "a missing key is no fault",
        DOCUMENTS,
        'return f"{_join(key, name)} is missing"',
        "continue",
    ),
    Mutation(
        "true is a number",
        DOCUMENTS,
        "isinstance(value, bool) and bool not in types",
        "isinstance(value, bool) and not types",
    ),
    Mutation(
        "a fresh start empties the record of an earlier run",
        WRITER,
        "if earlier := directory.set_aside(self.directory):",
        "if earlier := None:",
    ),
    Mutation(
        "runs of other options share a directory",
        RUNDIR,
        '"name": document.get("name"), **chosen}',
        '"name": document.get("name")}',
    ),
    Mutation(
        "the third run takes the second one's directory",
        RUNDIR,
        "while free.exists():\n        again += 1",
        "if free.exists():\n        again += 1",
    ),
    Mutation(
        "the second resume forgets the first",
        ENVIRONMENT,
        '[*before.get("resumed", []), entry]',
        "[entry]",
    ),
    Mutation(
        "packages that changed are not warned about",
        ENVIRONMENT,
        "if old.get(name) != new.get(name):",
        "if name not in new:",
    ),
    Mutation(
        "two processes write one run",
        RUNDIR,
        "held.acquire(blocking=False)",
        "held.lock_file",
    ),
)
LOOP = (
    Mutation(
        "checkpoints counted from the epoch's start",
        ITERATORS,
        "every and at.step % every == 0",
        "every and (at.batch + 1) % every == 0",
    ),
    Mutation(
        "an epoch that equals the best is the best",
        POSITION,
        'sign * value <= sign * self.best["value"]',
        'sign * value < sign * self.best["value"]',
    ),
    Mutation(
        "the highest loss is the best",
        POSITION,
        '-1 if metric[0] == "-" else 1',
        '1 if metric[0] == "-" else -1',
    ),
    Mutation(
        "patience is not spent by an equal value",
        RUN,
        "max(values[-patience:]) <= max(values[:-patience])",
        "max(values[-patience:]) < max(values[:-patience])",
    ),
    Mutation(
        "every test batch counts the same",
        ITERATORS,
        "metrics.add(self._learner.eval_step(images, labels), len(labels))",
        "metrics.add(self._learner.eval_step(images, labels), 1)",
    ),
    Mutation(
        "a loss that is not finite trains on",
        ITERATORS,
        "if metrics.images and not math.isfinite(metrics.loss):",
        "if not metrics.images:",
    ),
    Mutation(
        "the summary tells the first epoch for the last",
        WRITER,
        '"final": self.history[-1] if',
        '"final": self.history[0] if',
    ),
    Mutation(
        "no checkpoint before training",
        WRITER,
        "        if not remembered:\n            self.save(at)",
        "        if remembered:\n            self.save(at)",
    ),
)
NUMBERS = (
    Mutation("losses summed without the batch's size", SUMS, "losses[i] * images", "losses[i]"),
    Mutation(
        "read batches are read again",
        SUMS,
        "            self._images += images\n        self._pending.clear()",
        "            self._images += images",
    ),
    Mutation(
        "of several processes only the first one counts",
        SUMS,
        "sum(column) for column in zip",
        "column[0] for column in zip",
    ),
    Mutation("shares are no percentages", SUMS, "100 * c / self._images", "c / self._images"),
    Mutation(
        "a normal quantile for Student's",
        READ_BACK,
        "t.ppf(0.975, len(values) - 1)",
        "t.ppf(0.975, 10**6)",
    ),
    Mutation("a 90 % interval", READ_BACK, "t.ppf(0.975,", "t.ppf(0.95,"),
    Mutation(
        "the spread of one run for that of the mean",
        READ_BACK,
        "/ math.sqrt(len(values))",
        "/ 1",
    ),
    Mutation(
        "the worst epoch for the best", READ_BACK, "return max(lines, key", "return min(lines, key"
    ),
    Mutation(
        "a seed that ran twice counts twice",
        GROUPING,
        "while run.seed in [",
        "while None in [",
    ),
    Mutation(
        "two seeds are enough for a verdict",
        ROWS,
        "like_for_like and self.n >= 3",
        "like_for_like and self.n >= 2",
    ),
    Mutation(
        "a shortened recipe gets a verdict",
        VERDICTS,
        'if row.recipe != "paper":',
        'if row.recipe == "":',
    ),
    Mutation(
        "the first epoch for the last",
        MEASURED,
        'return numbers[-1] if how == "last"',
        'return numbers[0] if how == "last"',
    ),
    Mutation(
        "the highest error is the best one",
        MEASURED,
        'how = "max" if name.endswith("accuracy") else "min"',
        'how = "max" if not name.endswith("loss") else "min"',
    ),
    Mutation(
        "unfinished runs are counted",
        MEASURED,
        'if run.status != "finished":',
        'if run.status == "unheard of":',
    ),
)

SUITE = Suite(
    tests=(
        "tests/runs/test_running_metrics.py",
        "tests/reports/test_report.py::test_interval_is_the_t_interval_of_the_mean",
        "tests/reports/test_report.py::test_seeds_are_joined_and_other_recipes_are_not",
        "tests/reports/test_report.py::test_every_number_in_the_table_is_the_one_in_the_files",
        "tests/reports/test_targets.py",
        "tests/reports/test_verdicts.py",
        "tests/cli/test_resume_options.py",
        "tests/runs/test_position.py",
        "tests/runs/test_documents.py",
        "-k",
        "not every_edit and not stored_re and not half and not tensors",
    ),
    mutations=(*CHECKPOINTS, *RESUMES, *RECORDS, *LOOP, *NUMBERS),
    preload=(
        "numpy",
        "safetensors.numpy",
        "tensorboard.summary.writer.record_writer",
        "tensorboard.compat.proto.event_pb2",
        "scipy.stats",
        "matplotlib.figure",
        "PIL.Image",
    ),
)
