"""The two steps nbgrader lacks: put copied and deleted cells right before a run, keep hidden tests out of feedback."""

from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor, OverwriteCells

Resources = dict[str, Any]


class RestoreCells(OverwriteCells):  # type: ignore[misc]
    """Restore every cell the instructor owns: a copy loses its mark as a graded cell, a deleted one comes back at the
    end.

    Without it a copied cell makes the whole notebook unreadable to nbgrader, and a deleted test is never scored.
    """

    add_missing_cells = True
    missing_cell_notification = "This cell (id: {cell_id}) was missing from the submission and was put back.\n\n"

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """Of several cells with one id the last one counts, as in nbgrader's own DeduplicateIds."""
        seen = set()
        for cell in reversed(nb.cells):
            grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
            if grade_id in seen:
                self.log.warning("Cell '%s' is there more than once: the last one counts", grade_id)
                del cell.metadata["nbgrader"]
            seen.add(grade_id) if grade_id else None
        return super().preprocess(nb, resources)  # type: ignore[no-any-return]

    def add_missing_grade_cells(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """Append each missing graded cell; by then every name of the notebook is defined."""
        notebook = self.gradebook.find_notebook(self.notebook_id, self.assignment_id)
        present = {cell.metadata.get("nbgrader", {}).get("grade_id") for cell in nb.cells}
        sources = {cell.name: cell for cell in notebook.source_cells}
        manual = {cell.name for cell in notebook.solution_cells}
        for graded in notebook.grade_cells:
            if graded.name not in present:
                self.log.warning("Cell '%s' was missing", graded.name)
                nb.cells.append(
                    self.missing_cell_transform(sources[graded.name], graded.max_score, graded.name in manual)
                )
        return nb, resources


class HideTests(NbGraderPreprocessor):  # type: ignore[misc]
    """Replace hidden tests by one line, and keep of such a cell's output only the sentence of its error."""

    begin, end = "BEGIN HIDDEN TESTS", "END HIDDEN TESTS"

    def preprocess_cell(self, cell: NotebookNode, resources: Resources, index: int) -> tuple[NotebookNode, Resources]:
        """Act on cells with a hidden region; leave every other cell alone."""
        if self.begin in cell.source:
            cell.source = self._without_hidden(cell.source)
            cell.outputs = [
                self._sentence(output) for output in cell.get("outputs", []) if output.output_type == "error"
            ]
        return cell, resources

    def _without_hidden(self, source: str) -> str:
        before, _, rest = source.partition(self.begin)
        after = rest.partition(self.end)[2]
        lines = [before.rpartition("\n")[0], "# (hidden tests ran here)", after.partition("\n")[2]]
        return "\n".join(line for line in lines if line)

    def _sentence(self, error: NotebookNode) -> NotebookNode:
        error.traceback = [f"{error.ename}: {error.evalue}"]
        return error
