"""How well linear probes tell the target's classes apart, from VGG16's first block to its last."""

from markupsafe import Markup

from fitgap.backbone.layers import BLOCKS
from fitgap.report.figures import canvas
from fitgap.report.figures.palette import STAND_INS
from fitgap.report.figures.points import MARGINS, SIZE
from fitgap.report.statistics import Proportion
from fitgap.report.study import Study


def by_block(study: Study) -> Markup:
    """Draw the test accuracy of the probe on each block, with 95% intervals over test images."""
    accuracies = study.probe.history["test_accuracy"]
    images = study.probe.test_probabilities.shape[1]
    places = range(len(accuracies))
    with canvas.style():
        figure, axes = canvas.blank(*SIZE)
        canvas.dress(axes, STAND_INS, "from the input to the output of VGG16", "test accuracy")
        figure.subplots_adjust(**MARGINS)
        colour = STAND_INS["head"]
        for place, accuracy in zip(places, accuracies, strict=True):
            axes.plot([place, place], Proportion(accuracy, images).interval(), color=colour, linewidth=2.4)
        axes.plot(places, accuracies, "s-", color=colour, linewidth=1.2, markersize=8)
        axes.set_xticks(places, BLOCKS)
        axes.set_xlim(-0.5, len(BLOCKS) - 0.5)
        words = "; ".join(f"{block}: {share:.1%}" for block, share in zip(BLOCKS, accuracies, strict=True))
        return canvas.inline(figure, "blocks", "Test accuracy of linear probes by block", f"{words}.")
