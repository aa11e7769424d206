"""The count of lines that plot, on cells whose count is plain to see."""

from plotting import code_lines, plotting_lines

IMPORTS = (
    "import matplotlib.pyplot as plt\nimport torch\nfrom coursekit import figures\nfrom coursekit.figures import Panel"
)


def plots(*cells: str) -> list[set[int]]:
    return plotting_lines([IMPORTS, *cells])[1:]


def test_what_touches_a_figure_plots_and_the_rest_does_not() -> None:
    assert plots("x = torch.ones(3)\nfig, ax = plt.subplots()\nax.plot(\n    x,\n)\nassert x.sum() == 3") == [
        {2, 3, 4, 5}
    ]
    assert plots("figures.pictures([Panel(x)], alt='a')", "y = 1") == [{1}, set()]


def test_a_name_of_an_axis_is_kept_for_later_cells_until_it_names_something_else() -> None:
    assert plots("fig, left = plt.subplots()", "left.plot([1])", "left = 3\nprint(left)") == [{1}, {1}, set()]


def test_a_function_that_draws_and_its_calls_plot_but_not_what_it_computes() -> None:
    function = "def draw(ax, k):\n    y = k * k\n    z = y + 1\n    plt.plot([z])"
    assert plots(function, "draw(None, 3)") == [{4}, {1}]
    assert plots("def draw(k):\n    plt.plot([k])\n    plt.title('k')") == [{1, 2, 3}]


def test_a_loop_over_axes_plots() -> None:
    assert plots("fig, axes = plt.subplots(1, 2)\nfor ax in axes:\n    ax.axis('off')") == [{1, 2, 3}]


def test_blank_lines_comments_and_imports_are_not_lines_of_code() -> None:
    assert code_lines("import torch\n\n# why\nx = 1  # so\n") == {4}
