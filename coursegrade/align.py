"""A student's cells beside the instructor's: what each is, the order to run them in, and what was put right."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from coursegrade.notebook import Cell, pieces, plain
from coursegrade.records import Step
from coursegrade.source import SourceCell

# A definition at the start of a line, also in code that does not parse: Python's own parser is for code one trusts.
DEFINITION = re.compile(r"(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)|(\w+)[ \t]*(?::[^=]*)?=(?!=)")
MEANS = re.compile(r"(?:(?:async[ \t]+)?(?:def|class)|from|import)[ \t]|@")  # a piece that gives names a meaning
CONFLICT = re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE)
REMARK = re.compile(r"""#[^\n]*|(?P<quotes>\"{3}|'{3})[\s\S]*?(?P=quotes)""")


@dataclass
class Aligned:
    """The steps of one notebook; remarks are for the student, flags for the instructor, a sentence each."""

    steps: tuple[Step, ...]
    matched: int  # so many of the instructor's cells were there
    remarks: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    def say(self, text: str, names: Collection[str], *, flag: str = "") -> None:
        """Say something of cells to the student, and in other words to the instructor, if there are any."""
        if names:
            first = ", ".join(repr(name) for name in list(names)[:6])
            more = f" and {len(names) - 6} more" if len(names) > 6 else ""
            self.remarks.append(f"{text}: {first}{more}.")
            self.flags += [f"{flag}: {first}{more}."] if flag else []


def align(cells: Sequence[Cell], source: Sequence[SourceCell], gone: Sequence[Cell] = ()) -> Aligned:
    """Find the instructor's cells among a student's, and take each from whom it belongs to.

    Of several cells with one grade_id the last counts, as in nbgrader. The instructor's cells come in the
    instructor's order, each followed by the student's own cells that stood behind it; those before all of them come
    first. ``gone``: cells that students were given and that the instructor has since removed or renamed.
    """
    known = {c.step.grade_id: c for c in source if c.step.grade_id}
    places: dict[str, list[int]] = {}
    for position, cell in enumerate(cells):
        if cell.grade_id in known:
            places.setdefault(cell.grade_id, []).append(position)
    named = {name: positions[-1] for name, positions in places.items()}
    recognised = _recognise(cells, source, named)
    theirs = {name: cells[position] for name, position in (named | recognised).items()}
    once = {(cell.grade_id, plain(cell.source)) for cell in gone if cell.grade_id}
    removed = {p for p, cell in enumerate(cells) if (cell.grade_id, plain(cell.source)) in once}
    texts = {text for c in source for text in c.given if not c.step.grade_id} | {
        plain(cell.source) for cell in gone if not cell.grade_id
    }
    aligned = Aligned(tuple(_steps(cells, known, named | recognised, removed, texts)), len(theirs))
    renamed = {cell.grade_id for cell in gone if cell.grade_id}
    lost = [name for name, p in recognised.items() if cells[p].grade_id not in renamed]
    aligned.say("Cells that had lost their mark as part of the assignment and were recognised by their content", lost)
    _say_missing(aligned, known, theirs)
    _say_order(aligned, cells, places, [named[name] for name in known if name in named])
    _say_changes(aligned, known, theirs)
    _say_settings(aligned, known, {name: theirs[name] for name in known if name in named})
    return aligned


def _steps(
    cells: Sequence[Cell],
    known: Mapping[str, SourceCell],
    place: Mapping[str, int],
    removed: Collection[int],
    texts: Collection[str],
) -> Iterator[Step]:
    """``texts``: those of the instructor's that have no grade_id."""
    owner = {position: name for name, position in place.items()}
    behind: dict[str, list[Step]] = {"": []}
    last = ""
    for position, cell in enumerate(cells):
        if position in owner:
            last = owner[position]
            behind[last] = []
        elif position not in removed:
            behind[last].append(Step("own" if cell.cell_type == "code" else "text", cell.source))
    yield from (before := behind[""])
    for name, theirs in known.items():
        answer = cells[place[name]].source if name in place else ""
        blank, own = plain(answer) in {"", *theirs.given}, behind.get(name, [])
        if theirs.step.by_hand and blank:  # what stands in a cell of its own around an untouched stub is the answer
            words = theirs.step.kind == "text"
            near = [step for step in ([*before, *own] if words else own) if plain(step.source) not in {"", *texts}]
            written = [step for step in near if _in_words(step) is words]
            answer, blank = "\n\n".join(step.source for step in written) or answer, not written
            own = [step for step in own if step not in written]
        locked = name in place and theirs.step.kind in ("given", "test")
        added = _added(cells[place[name]], theirs)[0] if locked else ""
        steps = [replace(theirs.step, source=answer, blank=blank) if theirs.is_answer else theirs.step]
        if added:  # behind what it may need, and before what may need it
            steps.insert(theirs.step.kind == "given", Step("own", added))
        yield from (*steps, *(before := own))


def _in_words(step: Step) -> bool:
    """Whether a cell of the student's is text, or code that is nothing but remarks."""
    return step.kind == "text" or not REMARK.sub("", step.source).strip()


def _added(cell: Cell, theirs: SourceCell) -> tuple[str, bool]:
    """What of a student's copy of a locked cell is run, and whether nothing else was changed in it.

    Pieces that are not in the original and give no name of its another meaning; of a test only definitions and imports.
    """
    versions = [set(map(_bare, pieces(text))) for text in (theirs.visible, *(c.source for c in theirs.released))]
    names = {match[1] or match[2] for match in map(DEFINITION.match, pieces(theirs.visible)) if match}
    mine = pieces(cell.source)
    new = [piece for piece in mine if not any(_bare(piece) in {"", *version} for version in versions)]
    run = [piece for piece in new if not ((match := DEFINITION.match(piece)) and (match[1] or match[2]) in names)]
    if theirs.step.kind == "test":
        run = [piece for piece in run if MEANS.match(piece)]
    whole = len(run) == len(new) and any(version <= set(map(_bare, mine)) for version in versions)
    return "".join(run).strip(), whole


def _bare(piece: str) -> str:
    """A piece without remarks at the margin, which may have come to stand before another."""
    return plain(re.sub(r"^#.*$", "", piece, flags=re.MULTILINE))


def _recognise(cells: Sequence[Cell], source: Sequence[SourceCell], named: Mapping[str, int]) -> dict[str, int]:
    """Where the instructor's cells are that have lost their grade_id; only what is unambiguous counts.

    They are known by the notebook's own cell id, by the names they define, by their text, or by the text before them.
    """
    wanted = {n: c for n, c in enumerate(source) if c.step.grade_id and c.step.grade_id not in named}
    if not wanted:
        return {}
    taken, recognised = set(named.values()), dict[str, int]()
    texts, originals = [plain(cell.source) for cell in cells], [c.given | {plain(c.visible)} for c in source]
    defined = [_names(cell.source) if cell.cell_type == "code" else set() for cell in cells]
    ids = {c.step.grade_id for c in source}

    def alike(how: str, n: int, p: int) -> bool:
        theirs = source[n]
        if how == "id":
            return bool(cells[p].id) and cells[p].id == theirs.cell.id
        if theirs.is_answer and not set(theirs.step.defines) <= defined[p]:
            return False
        if how == "names":
            return bool(theirs.step.defines)
        if how == "text":
            return not theirs.is_answer and texts[p] in originals[n]
        before = n > 0 and p > 0 and not source[n - 1].is_answer and texts[p - 1] in originals[n - 1]
        return before and theirs.is_answer and not any(texts[p] in original for original in originals)

    free = [p for p, cell in enumerate(cells) if not cell.grade_id or cell.grade_id not in ids]
    for how in ("id", "names", "text", "place"):
        for n, theirs in wanted.items():
            if theirs.step.grade_id in recognised:
                continue
            candidates = [p for p in free if p not in taken and alike(how, n, p)]
            if len(candidates) == 1:
                recognised[theirs.step.grade_id] = candidates[0]
                taken.add(candidates[0])
    return recognised


def _say_missing(aligned: Aligned, known: Mapping[str, SourceCell], theirs: Mapping[str, Cell]) -> None:
    missing = {name: c for name, c in known.items() if name not in theirs}
    defined = {name for step in aligned.steps if step.kind in ("own", "answer") for name in _names(step.source)}
    answers = [name for name, c in missing.items() if c.is_answer]
    elsewhere = [name for name in answers if known[name].step.defines and set(known[name].step.defines) <= defined]
    aligned.say(
        "No cell was found for these answers, but other cells define what they ask for, and that was graded",
        elsewhere,
        flag="Answers without a cell of their own, graded by what other cells define",
    )
    aligned.say(
        "No cell was found for these answers, so they count as empty; put them into the released notebook's own cells",
        [name for name in answers if name not in elsewhere],
        flag="Answers that no cell was found for, which count as empty",
    )
    put_back = [name for name, c in missing.items() if not c.is_answer and not c.newer]
    aligned.say("Cells of the assignment that were missing and were put back", put_back)


def _say_order(aligned: Aligned, cells: Sequence[Cell], places: Mapping[str, list[int]], order: list[int]) -> None:
    copied = {name: [cells[p].source for p in copies] for name, copies in places.items() if len(copies) > 1}
    differ = [name for name, sources in copied.items() if len({plain(source) for source in sources}) > 1]
    aligned.say(
        "Cells that are there more than once, with different content, of which the last one counted",
        differ,
        flag="Cells that were there more than once with different content, of which the last one counted",
    )
    same = [name for name in copied if name not in differ]
    aligned.say("Cells that are there more than once, of which the last one counted", same)
    if order != sorted(order) and not copied:
        remark = "The cells were in another order than in the released notebook; they were run in the released order."
        aligned.remarks.append(remark)


def _say_changes(aligned: Aligned, known: Mapping[str, SourceCell], theirs: Mapping[str, Cell]) -> None:
    pairs = [(name, c, theirs[name]) for name, c in known.items() if name in theirs]
    changed = [pair for pair in pairs if plain(pair[2].source) not in pair[1].given]
    locked = [(name, *_added(cell, c)) for name, c, cell in changed if c.step.kind in ("given", "test")]
    aligned.say(
        "What you added to these cells of the assignment was run beside the original",
        [n for n, run, whole in locked if run and whole],
    )
    advice = "so put what you added into a cell of your own"
    aligned.say(
        f"Cells of the assignment that were changed; the original was used, {advice}",
        [n for n, run, whole in locked if not (run and whole)],
        flag="Cells of the assignment that were changed, for which the original was used",
    )
    retyped = [c.step for _, c, cell in pairs if c.is_answer and c.cell.cell_type != cell.cell_type]
    code, words = ([step.grade_id for step in retyped if step.kind == kind] for kind in ("answer", "text"))
    aligned.say("Answers in code that had become text cells and were read as code", code)
    aligned.say("Answers in words that had become code cells and were read as text", words)
    conflict = [n for n, c, cell in pairs if c.is_answer and CONFLICT.search(cell.source)]
    aligned.say("Answers that still have the marks of a merge conflict in them; decide for one version", conflict)


def _say_settings(aligned: Aligned, known: Mapping[str, SourceCell], named: Mapping[str, Cell]) -> None:
    def changed(*keys: str) -> list[str]:
        def differs(ours: Cell, theirs: Cell) -> bool:
            return any(k in ours.marks and k in theirs.marks and ours.marks[k] != theirs.marks[k] for k in keys)

        ours = {name: (known[name].cell, *known[name].released) for name in named}
        return [name for name, cell in named.items() if all(differs(version, cell) for version in ours[name])]

    role = "Cells whose points or role were changed, which has no effect"
    aligned.say(role, changed("points", "grade", "solution", "task"), flag=role)
    lock = "Cells whose lock or format version was changed, which has no effect"
    aligned.say(lock, changed("locked", "schema_version"))


def _names(source: str) -> set[str]:
    return {match[1] or match[2] for line in source.split("\n") if (match := DEFINITION.match(line))}
