"""Generated files: a valid params.yaml loads to the very values in it, any other gets one line that names the key."""

import re
import string

import pytest
import yaml
from dvc.utils.serialize import load_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fitgap.definitions.fields import MAX_COUNT
from fitgap.definitions.vgg16_layers import DEPTHS, LAYERS, POOLS, first_layer
from fitgap.params.reading import load_params, parse
from fitgap.params.schema import Params
from fitgap.params.variants import Variant
from fitgap.system.errors import UserError

# Files per property: 2,450 in all, of which Hypothesis may write a short one, such as an empty file, more than once.
EXAMPLES = {
    "valid": 400,
    "wrong value": 450,
    "missing key": 100,
    "unknown key": 150,
    "name of a variant": 100,
    "disagreement": 150,
    "spelling": 150,
    "bytes": 150,
    "text": 100,
    "tokens": 200,
    "documents": 125,
    "damage": 75,
    "same as DVC's": 300,
}
assert sum(EXAMPLES.values()) >= 2000

REMEDIES = tuple(Variant.model_fields)
ODD = ["", " ", "[key]", "a.b", "epochs ", "a  b", "two\nlines", "\u2028", "\0", "\x1b[31m", "\u202e", "é", "1", "null"]
PLACEHOLDER = "spelled-below"


def examples(share: str):
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=EXAMPLES[share], deadline=None, derandomize=True, suppress_health_check=slow)


# Valid files.

rates = st.floats(0, 10, exclude_min=True) | st.integers(1, 10)
fractions = st.floats(0, 1, exclude_max=True) | st.just(0)
strengths = st.floats(0, 10) | st.integers(0, 10)
seeds = st.integers(0, 2**31 - 1)
counts = st.integers(1, MAX_COUNT)
pairs_or_more = st.integers(2, MAX_COUNT)
amounts = st.integers(min_value=1) | st.just("all")  # how many images there are, `prepare` knows
# PyYAML's writer, not its reader, turns U+0085 in single quotes into another line break.
paths = st.text(min_size=1, max_size=30).filter(lambda text: text.strip() and not set(text) & {"\0", "\x85"})
alphanumerics = string.ascii_letters + string.digits
names = st.builds(str.__add__, st.sampled_from(alphanumerics), st.text(alphanumerics + "_-", max_size=62))
bare = st.fixed_dictionaries(
    {},
    optional={
        "dropout": st.just(0.0),
        "batch_norm": st.just(False),
        "l1": st.just(0),
        "l2": st.just(0.0),
        "learning_rate": st.none() | rates,
    },
)
remedies = st.fixed_dictionaries(
    {},
    optional={
        "dropout": fractions,
        "batch_norm": st.booleans(),
        "l1": strengths,
        "l2": strengths,
        "learning_rate": st.none() | rates,
    },
)
training = {"epochs": counts, "batch_size": pairs_or_more, "learning_rate": rates}
dense = {"dense_units": counts, "batch_norm_momentum": fractions}
data_sections = st.fixed_dictionaries(
    {
        "source": st.sampled_from(["digits", "cifar10", "directory"]),
        "path": paths,
        "image_size": st.integers(32, 512),
        "pool_images": amounts,
        "train_images": amounts,
        "validation_images": amounts,
        "test_images": amounts,
        "split_seed": seeds,
        "max_bad_fraction": fractions,
        "near_duplicates": st.sampled_from(["warn", "fail"]),
        "split_folders": st.sampled_from(["by_name", "none"]),
    }
)


@st.composite
def backbones(draw) -> dict:
    glyphs = {"batch_size": draw(pairs_or_more), "learning_rate": draw(rates), "threads": draw(amounts)}
    glyphs["images"] = draw(st.integers(max(36, glyphs["batch_size"]), MAX_COUNT))
    weights = st.sampled_from(["glyphs", "imagenet", "path", "none"])
    return {"weights": draw(weights), "path": draw(paths), "seed": draw(seeds), "glyphs": glyphs}


@st.composite
def named_variants(draw) -> dict:
    own = draw(st.lists(names, max_size=5, unique_by=str.lower))
    entries = {name: draw(remedies) for name in own if name.lower() != "baseline"} | {"baseline": draw(bare)}
    return dict(draw(st.permutations(list(entries.items()))))


@st.composite
def rising_rates(draw) -> tuple[float, float]:
    """Draw the learning rates of scratch and of highrate."""
    low = draw(st.floats(0, 10, exclude_min=True, exclude_max=True))
    return low, draw(st.floats(low, 10, exclude_min=True))


@st.composite
def heads_and_finetunes(draw, variants: list[str]) -> tuple[dict, dict]:
    layer = draw(st.sampled_from(POOLS))
    below = [depth for depth in DEPTHS if LAYERS.index(first_layer(depth)) < LAYERS.index(layer)]
    depths = draw(st.lists(st.sampled_from(below), min_size=1, unique=True))
    head = {"layer": layer, **draw(st.fixed_dictionaries(training | dense))}
    finetune = {"head": draw(st.sampled_from(variants)), "depths": depths, **draw(st.fixed_dictionaries(training))}
    return head, finetune


@st.composite
def trees(draw) -> dict:
    """Draw the whole of a valid params.yaml, its sections in any order."""
    variants = draw(named_variants())
    low, high = draw(rising_rates())
    head, finetune = draw(heads_and_finetunes(list(variants)))
    repeated = draw(st.lists(seeds, min_size=1, max_size=5, unique=True))
    data, filters = draw(data_sections), draw(st.lists(counts, min_size=1, max_size=5))
    tree = {
        "seeds": repeated,
        "data": data,
        "backbone": draw(backbones()),
        "compute": {
            "precision": draw(st.sampled_from(["float32", "bfloat16"])),
            "hand_written_kernels": draw(st.booleans()),
            "threads": draw(amounts),
        },
        "asis": {"images": draw(amounts | st.just(0))},
        "scratch": {
            **draw(st.fixed_dictionaries(training | dense)),
            "learning_rate": low,
            "filters": filters,
        },
        "highrate": {"learning_rate": high, "variants": draw(st.lists(st.sampled_from(list(variants)), unique=True))},
        "head": head,
        "finetune": finetune,
        "learning_curve": {
            "sizes": draw(st.lists(counts, max_size=5, unique=True)),
            "repetitions": draw(st.integers(1, len(repeated))),
        },
        "variants": variants,
    }
    return dict(draw(st.permutations(list(tree.items()))))


class Dumper(yaml.SafeDumper):
    """SafeDumper that puts text in quotes where YAML 1.2 would take it for a number, such as a variant named 1e5."""


Dumper.add_implicit_resolver("!quoted", re.compile("."), list("-+.0123456789"))  # what YAML 1.1 takes for text


styles = st.fixed_dictionaries({"default_flow_style": st.booleans(), "allow_unicode": st.booleans()})


def write(path, tree, style) -> str:
    text = yaml.dump(tree, Dumper=Dumper, sort_keys=False, **style)
    path.write_text(text, encoding="utf-8")
    return text


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("generated") / "params.yaml"


@examples("valid")
@given(tree=trees(), style=styles)
def test_valid_file_loads_to_the_very_values_in_it(file, tree, style):
    write(file, tree, style)
    chosen = load_params(file)
    assert chosen.model_dump(exclude_unset=True) == tree
    assert list(chosen.variants) == list(tree["variants"])  # order is that of the report's tables


# One mistake in a valid file.

VALUES = {
    "nothing": st.none(),
    "boolean": st.booleans(),
    "integer": st.integers(),
    "float": st.floats(),
    "text": st.text(max_size=100) | st.sampled_from(ODD),
    "date": st.dates() | st.datetimes(),
    "bytes": st.binary(max_size=100),
    "list": st.lists(st.integers() | st.text(max_size=5), max_size=100),
    "mapping": st.dictionaries(st.text(max_size=5), st.none(), max_size=5),
}


def all_but(*kinds: str):
    return st.one_of(values for kind, values in VALUES.items() if kind not in kinds)


def text_but(allowed) -> st.SearchStrategy:
    return all_but("text") | VALUES["text"].filter(lambda text: text not in allowed)


def below(least: int):
    return all_but("integer") | st.integers(max_value=least - 1)


def no_count(least: int = 1):
    return below(least) | st.integers(min_value=MAX_COUNT + 1)


no_number = all_but("integer", "float") | st.sampled_from([float("nan"), float("inf"), float("-inf"), 10**400])
no_rate = no_number | st.floats(max_value=0) | st.floats(10, exclude_min=True) | st.integers(max_value=0)
no_strength = no_number | st.floats(max_value=0, exclude_max=True) | st.integers(min_value=11)
no_fraction = no_number | st.floats(max_value=0, exclude_max=True) | st.floats(1) | st.integers(min_value=1)
no_seed = below(0) | st.integers(min_value=2**31)
no_amount = all_but("integer", "text") | st.integers(max_value=0) | st.just("ALL")
no_amount_or_none = all_but("integer", "text") | st.integers(max_value=-1) | st.just("none")
no_path = all_but("text") | st.text(" \t\n\u2028\u3000", max_size=3) | st.just("a\0b")
no_name_text = VALUES["text"].filter(lambda text: not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", text))
no_name = all_but("text") | no_name_text
no_mapping = all_but("mapping")
no_list = all_but("list")
no_filled_list = no_list | st.just([])
no_training = {"epochs": no_count(), "batch_size": no_count(2), "learning_rate": no_rate}
no_dense = {"dense_units": no_count(), "batch_norm_momentum": no_fraction}

# Key -> what cannot stand there. `*` is any variant, `#` any place in a list.
WRONG = {
    "seeds": no_filled_list,
    "seeds.#": no_seed,
    "data": no_mapping,
    "data.source": text_but(["digits", "cifar10", "directory"]),
    "data.path": no_path,
    "data.image_size": below(32) | st.integers(min_value=513),
    "data.pool_images": no_amount,
    "data.train_images": no_amount,
    "data.validation_images": no_amount,
    "data.test_images": no_amount,
    "data.split_seed": no_seed,
    "data.max_bad_fraction": no_fraction,
    "data.near_duplicates": text_but(["warn", "fail"]),
    "data.split_folders": text_but(["by_name", "none"]),
    "backbone": no_mapping,
    "backbone.weights": text_but(["glyphs", "imagenet", "path", "none"]),
    "backbone.path": no_path,
    "backbone.seed": no_seed,
    "backbone.glyphs": no_mapping,
    "backbone.glyphs.images": no_count(36),
    "backbone.glyphs.batch_size": no_count(2),
    "backbone.glyphs.learning_rate": no_rate,
    "backbone.glyphs.threads": no_amount,
    "compute": no_mapping,
    "compute.precision": text_but(["float32", "bfloat16"]),
    "compute.hand_written_kernels": all_but("boolean"),
    "compute.threads": no_amount,
    "asis": no_mapping,
    "asis.images": no_amount_or_none,
    "scratch": no_mapping,
    **{f"scratch.{key}": values for key, values in (no_training | no_dense).items()},
    "scratch.filters": no_filled_list | st.lists(counts, min_size=6),
    "scratch.filters.#": no_count(),
    "highrate": no_mapping,
    "highrate.learning_rate": no_rate,
    "highrate.variants": no_list,
    "highrate.variants.#": no_name,
    "head": no_mapping,
    "head.layer": text_but(POOLS),
    **{f"head.{key}": values for key, values in (no_training | no_dense).items()},
    "finetune": no_mapping,
    "finetune.head": no_name,
    "finetune.depths": no_filled_list,
    "finetune.depths.#": text_but(DEPTHS),
    **{f"finetune.{key}": values for key, values in no_training.items()},
    "learning_curve": no_mapping,
    "learning_curve.sizes": no_list,
    "learning_curve.sizes.#": no_count(),
    "learning_curve.repetitions": no_count(),
    "variants": no_mapping | st.just({}),
    "variants.*": no_mapping,
    "variants.*.dropout": no_fraction,
    "variants.*.batch_norm": all_but("boolean"),
    "variants.*.l1": no_strength,
    "variants.*.l2": no_strength,
    "variants.*.learning_rate": no_rate.filter(lambda value: value is not None),
}


def at(tree: dict, path):
    for part in path:
        tree = tree[part]
    return tree


def put(tree: dict, path, value):
    *parents, last = path
    section = at(tree, parents)
    if isinstance(section, list):
        section[last : last + 1] = [value]  # an empty list has no place to replace
    else:
        section[last] = value


def mappings(tree: dict, above=()):
    """Give the path of every mapping in a tree, its own included."""
    yield above
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from mappings(value, (*above, key))


def keys(tree: dict) -> list[tuple]:
    return [(*path, key) for path in mappings(tree) for key in at(tree, path)]


def wrong_value(draw, tree: dict) -> tuple:
    key = draw(st.sampled_from(sorted(WRONG)))
    path = []
    for part in key.split("."):
        here = at(tree, path)
        places = {"*": list(here), "#": range(max(1, len(here)))}
        path.append(draw(st.sampled_from(places[part])) if part in places else part)
    put(tree, path, draw(WRONG[key]))
    return tuple(path)


def missing_key(draw, tree: dict) -> tuple:
    path = draw(st.sampled_from([path for path in keys(tree) if path[0] != "variants" or path == ("variants",)]))
    del at(tree, path[:-1])[path[-1]]
    return path


def unknown_key(draw, tree: dict) -> tuple:
    section = draw(st.sampled_from([path for path in mappings(tree) if path != ("variants",)]))
    known = REMEDIES if section[:1] == ("variants",) else list(at(tree, section))
    near = st.sampled_from(known).map(lambda key: key[:-1])
    key = draw((VALUES["text"] | near | st.text("x", min_size=200)).filter(lambda key: key not in known))
    put(tree, (*section, key), draw(all_but()))
    return (*section, key)


def name_of_a_variant(draw, tree: dict) -> tuple:
    name = draw(no_name_text | st.text(alphanumerics, min_size=64))
    tree["variants"][name] = draw(remedies)
    return ("variants", name)


@st.composite
def mistaken(draw, mistake) -> tuple[dict, tuple]:
    """Draw a tree that is valid but for one mistake, and the path of the key to be named."""
    tree = draw(trees())
    return tree, mistake(draw, tree)


def refusal(file) -> str:
    """Give the one line that a file gets, from behind the file's name."""
    with pytest.raises(UserError) as caught:
        load_params(file)
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert line.startswith(f"{file}: ")
    return line.removeprefix(f"{file}: ")


def assert_names(line: str, path):
    """Check that a line begins with the key; where it would not show as it is, in quotes."""
    *section, last = map(str, path)
    assert line.startswith(tuple(f"{'.'.join([*section, key])}: " for key in (last, repr(last))))
    assert line.isprintable()


@examples("wrong value")
@given(mistake=mistaken(wrong_value), style=styles)
def test_wrong_value_is_refused_by_its_key(file, mistake, style):
    tree, path = mistake
    write(file, tree, style)
    assert_names(refusal(file), path)


@examples("missing key")
@given(mistake=mistaken(missing_key), style=styles)
def test_missing_key_is_named(file, mistake, style):
    tree, path = mistake
    write(file, tree, style)
    line = refusal(file)
    assert_names(line, path)
    assert "missing" in line


@examples("unknown key")
@given(mistake=mistaken(unknown_key), style=styles)
def test_unknown_key_is_named_with_those_there_are(file, mistake, style):
    tree, path = mistake
    write(file, tree, style)
    line = refusal(file)
    assert_names(line, path)
    assert "unknown key" in line


@examples("name of a variant")
@given(mistake=mistaken(name_of_a_variant), style=styles)
def test_variant_that_cannot_name_a_folder_is_named(file, mistake, style):
    tree, path = mistake
    write(file, tree, style)
    line = refusal(file)
    assert_names(line, path)
    assert "cannot be the name of a folder" in line


# Sections that are valid each, but not together.


def no_baseline(draw, tree: dict) -> str:
    del tree["variants"]["baseline"]
    tree["variants"]["other"] = {}
    return "variants"


def remedy_in_the_baseline(draw, tree: dict) -> str:
    tree["variants"]["baseline"]["l1"] = 0.5
    return "variants.baseline"


def names_alike(draw, tree: dict) -> str:
    alike = draw(st.sampled_from([name for name in tree["variants"] if name.swapcase() != name])).swapcase()
    tree["variants"][alike] = {}
    return f"variants.{alike}"


def head_of_nobody(draw, tree: dict) -> str:
    tree["finetune"]["head"] = draw(names.filter(lambda name: name not in tree["variants"]))
    return "finetune.head"


def depth_above_the_head(draw, tree: dict) -> str:
    tree["head"]["layer"] = layer = draw(st.sampled_from(POOLS[:-1]))
    above = [depth for depth in DEPTHS if LAYERS.index(first_layer(depth)) > LAYERS.index(layer)]
    tree["finetune"]["depths"] = [draw(st.sampled_from(above))]
    return "finetune.depths"


def high_rate_of_nobody(draw, tree: dict) -> str:
    tree["highrate"]["variants"].append(draw(names.filter(lambda name: name not in tree["variants"])))
    return "highrate.variants"


def high_rate_that_is_none(draw, tree: dict) -> str:
    tree["highrate"]["learning_rate"] = draw(st.floats(0, tree["scratch"]["learning_rate"], exclude_min=True))
    return "highrate.learning_rate"


def fewer_glyphs_than_a_batch(draw, tree: dict) -> str:
    glyphs = tree["backbone"]["glyphs"]
    glyphs["images"] = draw(st.integers(36, MAX_COUNT - 1))
    glyphs["batch_size"] = draw(st.integers(glyphs["images"] + 1, MAX_COUNT))
    return "backbone.glyphs"


def entry_twice(draw, tree: dict) -> str:
    key = draw(st.sampled_from(["seeds", "finetune.depths", "highrate.variants", "learning_curve.sizes"]))
    entries = at(tree, key.split("."))
    entries += entries or (["baseline", "baseline"] if key == "highrate.variants" else [7, 7])
    return key


def more_repetitions_than_seeds(draw, tree: dict) -> str:
    curve = tree["learning_curve"]
    curve["sizes"] = curve["sizes"] or [7]
    curve["repetitions"] = draw(st.integers(len(tree["seeds"]) + 1, MAX_COUNT))
    return "learning_curve.repetitions"


DISAGREEMENTS = [
    no_baseline,
    remedy_in_the_baseline,
    names_alike,
    head_of_nobody,
    depth_above_the_head,
    high_rate_of_nobody,
    high_rate_that_is_none,
    fewer_glyphs_than_a_batch,
    entry_twice,
    more_repetitions_than_seeds,
]


@st.composite
def disagreeing(draw) -> tuple[dict, str]:
    tree = draw(trees())
    return tree, draw(st.sampled_from(DISAGREEMENTS))(draw, tree)


@examples("disagreement")
@given(disagreement=disagreeing(), style=styles)
def test_sections_that_disagree_are_named(file, disagreement, style):
    tree, key = disagreement
    write(file, tree, style)
    assert refusal(file).startswith(f"{key}: ")


# Values that YAML itself, or Python, trips over.


@st.composite
def nested(draw) -> str:
    before, after = draw(st.sampled_from([("[", "]"), ("{a: ", "}"), ("[{a: ", "}]")]))
    depth = draw(st.integers(40, 1500))
    return before * depth + "0" + after * depth


@st.composite
def chained(draw) -> str:
    """Draw a list whose items hold the one before: once each, which gets deep, or nine times, which gets large."""
    links, times = draw(st.sampled_from([(1100, 1), (8, 9)]))
    items = [f"&a{i} [{', '.join([f'*a{i - 1}'] * times)}]" for i in range(1, links)]
    return f"[&a0 [-1], {', '.join(items)}, *a{links - 1}]"


lengths = st.integers(4301, 6000)  # Python turns no more than 4,300 digits into a number, or a number into digits
spellings = st.one_of(
    st.sampled_from(["2024-13-45", "2024-02-30", "0001-01-01T99:00:00", "0x_", "0b_", "-0x_", '"\\ud800"', "="]),
    st.sampled_from(["!!bool x", "!!int x", "!!int ''", "!!float x", "!!timestamp x", "!!binary é", "!!str [a]"]),
    st.sampled_from(["!!map x", "!!map [x]", "!!set x", "!other x", "!!python/name:os.system x", "!!int {=: x}"]),
    st.sampled_from(["{a: 1, a: 2}", "{1: 2}", "{~: 2}", "{2024-13-45: 2}", "{<<: {a: 1}}", "{? [a] : 1}"]),
    st.sampled_from(["&a [*a]", "&a {a: *a}", "&a {? *a : 1}", "[&a {? [*a] : 1}]", '{"\\ud800": 1}']),
    lengths.map("9".__mul__),
    lengths.map(lambda length: f"[-0x{length * 'f'}]"),
    nested(),
    chained(),
)


@examples("spelling")
@given(data=st.data(), tree=trees(), style=styles, spelling=spellings)
def test_value_that_yaml_trips_over_is_refused_by_its_place(file, data, tree, style, spelling):
    path = data.draw(st.sampled_from(keys(tree)))
    put(tree, path, PLACEHOLDER)
    text = write(file, tree, style)
    file.write_text(text.replace(PLACEHOLDER, spelling), encoding="utf-8")
    line = refusal(file).removeprefix("not readable as YAML: ")
    assert line.startswith((path[0], "line ", "not valid: ", "nested too deeply", "more than"))


# Files that hold anything.


def assert_loads_or_is_refused(file):
    try:
        load_params(file)
    except UserError:
        refusal(file)


@examples("bytes")
@given(content=st.binary(max_size=300))
def test_any_bytes_load_or_get_one_line(file, content):
    file.write_bytes(content)
    assert_loads_or_is_refused(file)


@examples("text")
@given(text=st.text(max_size=300))
def test_any_text_loads_or_gets_one_line(file, text):
    file.write_text(text, encoding="utf-8", newline="")
    assert_loads_or_is_refused(file)


marks = [*"[]{},#%@'\"\t\n", ": ", "- ", "? ", "\n  ", "|\n", ">-\n", "---\n", "...\n"]
words = ["&a ", "*a", "<<", "=", "~", "seeds", "data", "0x_", "1e3", ".nan", "2024-13-45", "\\ud800", "%YAML 1.1\n"]
tags = ["!", "!a ", "!!int ", "!!float ", "!!bool ", "!!map ", "!!set ", "!!omap ", "!!pairs ", "!!binary ", "!!str "]
tokens = st.lists(st.sampled_from(marks + words + tags), max_size=60).map("".join)

plain = st.from_regex(r"[-+]?[0-9._:eExob]{1,12}", fullmatch=True) | st.sampled_from(
    ["yes", "Off", "true", "Null", "~"]
)


@examples("tokens")
@given(text=tokens)
def test_any_tokens_of_yaml_load_or_get_one_line(file, text):
    file.write_text(text, encoding="utf-8")
    assert_loads_or_is_refused(file)


scalars = st.one_of(values for kind, values in VALUES.items() if kind not in ("list", "mapping"))
documents = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(scalars, inner), max_leaves=20)
sections = st.dictionaries(st.sampled_from(list(Params.model_fields)), documents)


@examples("documents")
@given(document=documents | sections, style=styles)
def test_any_document_loads_or_gets_one_line(file, document, style):
    write(file, document, style)
    assert_loads_or_is_refused(file)


@examples("damage")
@given(data=st.data(), tree=trees(), style=styles, patch=tokens | st.just(""))
def test_damaged_file_loads_or_gets_one_line(file, data, tree, style, patch):
    text = write(file, tree, style)
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 40)))
    file.write_text(text[:begin] + patch + text[end:], encoding="utf-8")
    assert_loads_or_is_refused(file)


@examples("same as DVC's")
@given(text=tokens | st.builds("[{}, {{a: {}}}]".format, plain, plain))
def test_values_are_those_that_dvc_reads(file, text):
    file.write_text(text, encoding="utf-8")
    try:
        value = parse(text)
    except ValueError:
        return
    assert repr(value or {}) == repr(load_yaml(file))  # as text: NaN is not equal to itself
