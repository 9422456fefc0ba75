"""Tell a judgement: as text for the terminal, as JSON, and as a self-contained page."""

import json

import pandas as pd

from fitgap.inference.verdicts import SUPPORTED
from fitgap.judging.judgement import Entry, Judgement
from fitgap.report import formatting
from fitgap.report.figures.forest import arrange_forest
from fitgap.report.rendering import COLOURS, SIGNS, render_template

MOST = 15  # pairs on the terminal and on the page


def as_text(judgement: Judgement) -> str:
    """Return the answer for a terminal: what was compared, means, verdicts, who is best."""
    parts = [_headline(judgement), *_notes(judgement), "", _aligned(_mean_rows(judgement))]
    for title, entries in _sections(judgement).items():
        parts += [f"\n{title}:", _aligned([_row(entry) for entry in entries])]
    return "\n".join([*parts, "", _best(judgement)])


def as_json(judgement: Judgement) -> str:
    """Return everything as JSON."""
    scores, means = judgement.scores, judgement.means.astype(object)
    told = {"source": judgement.runs.origin, "metric": scores.metric, "contestant": scores.contestant}
    told |= {"repetition": scores.repetition, "lower_is_better": judgement.side < 0, "margin": judgement.margin}
    told |= {"reference": judgement.reference, "notes": judgement.notes, "best": judgement.best}
    told |= {"not_clearly_worse": judgement.close, "contestants": means.where(means.notna(), None).to_dict("index")}
    told |= {"against_reference": judgement.against, "pairs": judgement.pairs}
    return json.dumps(told, indent=2, ensure_ascii=False, default=float) + "\n"


def as_page(judgement: Judgement) -> str:
    """Return a self-contained HTML page with the forest plot."""
    numbered = {
        title: [{**entry, "id": f"{at}-{number}"} for number, entry in enumerate(entries)]
        for at, (title, entries) in enumerate(_sections(judgement).items())
    }
    content = {
        "headline": _headline(judgement),
        "best": _best(judgement),
        "notes": _notes(judgement),
        "means": _mean_rows(judgement),
        "forest": arrange_forest(numbered),
        "sections": {title: [(entry, _row(entry)) for entry in entries] for title, entries in numbered.items()},
    }
    return render_template("judge.html.j2", content | {"colours": COLOURS, "signs": SIGNS, "tables": formatting})


def _headline(judgement: Judgement) -> str:
    scores = judgement.scores
    return (
        f"{judgement.runs.origin}: {scores.metric} of {sum(map(len, scores.values.values()))} runs, "
        f"{len(scores.values)} contestants ({'@'.join(scores.contestant)}), "
        f"{'lower' if judgement.side < 0 else 'higher'} is better"
        + ("" if judgement.margin is None else f", differences up to {judgement.margin:g} are not relevant")
    )


def _notes(judgement: Judgement) -> list[str]:
    count = len(judgement.pairs)
    return [*judgement.notes, *([f"{count} pairs are too many to show: --json has them"] if count > MOST else [])]


def _sections(judgement: Judgement) -> dict[str, list[Entry]]:
    """Return the entries to show by heading."""
    against = {f"Against {judgement.reference}, each a question of its own": judgement.against}
    shown = judgement.pairs if len(judgement.pairs) <= MOST else []
    pairs = {f"All pairs, p-values for {len(shown)} pairs (Holm 1979)": shown}
    return {title: entries for title, entries in (against | pairs).items() if entries}


def _row(entry: Entry) -> dict[str, str]:
    return {
        "statement": entry["statement"],
        "verdict": f"{SIGNS[entry['verdict']]} {entry['verdict']}",
        "difference": formatting.measured(entry),
        **({"p": f"{entry['p_value']:.2g}"} if "p_value" in entry else {}),
        "favoured by": "" if entry["win_rate"] is None else f"{entry['win_rate']:.0%}",
        "from": entry["compared"].rpartition(", ")[2],
        "remark": formatting.remark(entry),
    }


def _best(judgement: Judgement) -> str:
    """Return who is best, and how sure that is."""
    best = judgement.best
    others = f"clearly better than {best['statement'].partition(' is better than ')[2]}"
    if best["verdict"] != SUPPORTED:
        others = f"but not clearly better than {', '.join(judgement.close) or 'all others at once'}"
    return "; ".join(filter(None, [f"Best: {best['models'][0]}, {others}", formatting.remark(best)]))


def _mean_rows(judgement: Judgement) -> list[dict[str, str]]:
    means = judgement.means.itertuples()
    return [{"contestant": m[0], "runs": str(m.runs), "mean ± sd": formatting.number(m.mean, m.sd, 4)} for m in means]


def _aligned(rows: list[dict[str, str]]) -> str:
    """Return rows as lines of text in columns."""
    table = pd.DataFrame([{name: name for name in rows[0]}, *rows])
    columns = [table[name].str.ljust(table[name].str.len().max()) for name in table]
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))
