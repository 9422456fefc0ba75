"""Test the training loop: histories, the best epoch's weights, pairing by seed, bitwise reproducibility."""

import numpy as np
import pandas as pd
import pytest

from fitgap.params.reading import load_params
from fitgap.params.sections import Contestants, Training
from fitgap.params.variants import Variant

SCHEDULE = Training(epochs=6, batch_size=8, learning_rate=0.01)


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = rng.normal(labels[:, None], 1.5, (60, 5)).astype(np.float32)
    return (features[:30], labels[:30]), (features[30:], labels[30:])


@pytest.fixture(scope="module")
def build(tensorflow, repository):
    from fitgap.networks import architectures

    head = load_params(repository / "params.yaml").head
    return lambda seed=0, **remedies: architectures.build_classifier((5,), 3, head, Variant(**remedies), seed)


@pytest.fixture(scope="module")
def trainer(build):
    from fitgap.training.trainer import Trainer

    return lambda rate=0.01, **remedies: Trainer(
        build(0, **remedies), SCHEDULE.model_copy(update={"learning_rate": rate}), Variant(**remedies).active
    )


@pytest.fixture(scope="module")
def trained(build, trainer, examples):
    return lambda seed=0, **remedies: trainer(**remedies).train(build(seed, **remedies), *examples, seed)


def cross_entropy(network, inputs, labels) -> float:
    logits = network(inputs, training=False).numpy().astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]).mean())


def test_network_ends_with_the_weights_of_its_best_epoch(build, trainer, examples):
    made = trainer(0.1)
    history = made.train(build(), *examples, 0).history
    best = history.loc[history["val_loss"].idxmin()]
    assert best["epoch"] < SCHEDULE.epochs, "the last epoch is the best, so nothing is tested"
    assert cross_entropy(made.network, *examples[0]) == pytest.approx(best["train_loss"], rel=1e-5)
    assert cross_entropy(made.network, *examples[1]) == pytest.approx(best["val_loss"], rel=1e-5)


def test_each_moment_is_tested_with_the_weights_of_its_epoch(build, trainer, examples):
    made, (inputs, labels) = trainer(0.1), examples[1]
    trained = made.train(build(1), *examples, 1)
    history, epochs = trained.history.set_index("epoch"), trained.epochs
    assert len(set(epochs.values())) == 3, "two moments are one epoch, so less is tested"
    assert history["val_accuracy"][: epochs["peak"] - 1].max() < history["val_accuracy"].max()
    for answers, epoch in zip(made.test(trained, inputs).probabilities, epochs.values(), strict=True):
        loss = -np.log(answers[np.arange(len(labels)), labels].astype(float)).mean()
        assert loss == pytest.approx(history["val_loss"][epoch], rel=1e-4)


def test_history_is_in_inference_mode_and_without_penalty(build, trainer, examples):
    """At a learning rate of nothing the weights stay, so every epoch must show the same, dropout or not."""
    network = build(dropout=0.5, l2=0.1)
    expected = cross_entropy(network, *examples[0])
    history = trainer(1e-30, dropout=0.5, l2=0.1).train(network, *examples, 0).history
    np.testing.assert_allclose(history["train_loss"], expected, rtol=1e-5)
    assert history["objective"].std() > 0
    np.testing.assert_allclose(history["penalty"], sum(float(loss) for loss in network.losses), rtol=1e-5)
    assert (history["objective"] > history["penalty"]).all()


def test_penalty_and_weight_norm_are_those_of_the_epochs_end(trained):
    history = trained(l2=0.1).history
    np.testing.assert_allclose(history["penalty"], 0.1 * history["weight_norm"] ** 2, rtol=1e-5)


def test_updates_are_counted(trained):
    assert trained().updates == 6 * 4  # 30 examples in batches of 8: the last one has 6


@pytest.mark.parametrize("remedies", [{}, {"dropout": 0.5, "batch_norm": True}])
def test_same_seed_same_bits_whatever_was_trained_before(build, trainer, examples, remedies):
    alone = trainer(**remedies).train(build(1, **remedies), *examples, 1)
    made = trainer(**remedies)
    other, after = (made.train(build(seed, **remedies), *examples, seed) for seed in (0, 1))
    assert not alone.history.equals(other.history)
    assert alone.history.equals(after.history)
    for one, same in zip(alone.weights, after.weights, strict=True):
        np.testing.assert_array_equal(one, same)


def test_order_of_the_data_depends_on_the_seed_alone_and_changes_every_epoch(tensorflow):
    from fitgap.training.trainer import epoch_orders

    first, again, other = ([order.tolist() for order in epoch_orders(50, 2, seed)] for seed in (0, 0, 1))
    assert first == again != other
    assert first[0] != first[1]
    assert sorted(first[0]) == list(range(50))


def test_epoch_does_what_keras_fit_would_do(build, examples):
    """One epoch, the same batches in the same order, all that can be different about a network in it."""
    import keras

    from fitgap.training.trainer import Trainer, epoch_orders

    remedies, (inputs, labels) = {"dropout": 0.5, "batch_norm": True, "l1": 0.01, "l2": 0.01}, examples[0]
    ours, theirs, start = (build(3, **remedies) for _ in range(3))
    once = Training(epochs=1, batch_size=8, learning_rate=0.01)
    history = Trainer(ours, once).train(start, *examples, 0).history
    theirs.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    (order,) = epoch_orders(30, 1, 0)
    fitted = theirs.fit(inputs[order], labels[order], batch_size=8, shuffle=False, verbose=0)
    assert history["objective"][0] == pytest.approx(fitted.history["loss"][0], rel=1e-5)
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        if one.path != "dense/bias":  # batch normalisation takes it out again: its gradient is rounding, and no more
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4, err_msg=one.path)


def test_passes_of_an_epoch_are_epochs_that_are_not_measured(build, examples):
    from fitgap.training.trainer import Trainer

    start = build(3)
    often, seldom = (
        Trainer(build(3), Training(epochs=epochs, batch_size=8, learning_rate=0.01), passes=passes).train(
            start, *examples, 0
        )
        for epochs, passes in ((6, 1), (2, 3))
    )
    assert often.updates == seldom.updates == 6 * 4  # the last batch of a pass has 6 of the 30 examples
    assert seldom.history["val_loss"].tolist() == often.history["val_loss"][2::3].tolist()
    assert seldom.history["objective"][1] == pytest.approx(often.history["objective"][3:].mean())


def test_evaluation_does_not_depend_on_the_batch(tensorflow, build, examples, monkeypatch):
    from fitgap.networks import evaluation

    network, (inputs, labels) = build(batch_norm=True), map(tensorflow.constant, examples[0])
    whole, _ = evaluation.Evaluator(network).measure(inputs, labels, 10)
    assert whole["train_loss"] == pytest.approx(cross_entropy(network, inputs[:10], labels[:10]), rel=1e-5)
    assert whole["val_loss"] == pytest.approx(cross_entropy(network, inputs[10:], labels[10:]), rel=1e-5)
    monkeypatch.setattr(evaluation, "BATCH", 7)
    assert evaluation.Evaluator(network).measure(inputs, labels, 10)[0] == pytest.approx(whole, rel=1e-5)


def test_without_curves_only_the_last_epoch_measures_the_training_examples(build, trainer, examples):
    made = trainer()
    usual, without = (made.train(build(), *examples, 0, curves=curves).history for curves in (True, False))
    assert without[["train_loss", "train_accuracy"]][:-1].isna().all(axis=None)
    assert without["train_loss"].iloc[-1] == pytest.approx(usual["train_loss"].iloc[-1], rel=1e-5)
    np.testing.assert_allclose(without["val_loss"], usual["val_loss"], rtol=1e-5)
    np.testing.assert_array_equal(without["objective"], usual["objective"])


def test_another_learning_rate_is_as_if_it_were_the_schedules(build, trainer, examples):
    made = trainer(0.01, weight_decay=0.5)
    usual = made.train(build(), *examples, 0)
    faster = made.train(build(), *examples, 0, learning_rate=0.05)
    again = made.train(build(), *examples, 0)
    own = trainer(0.05, weight_decay=0.5).train(build(), *examples, 0)
    assert faster.history.equals(own.history)
    assert again.history.equals(usual.history)
    assert not faster.history.equals(usual.history)


def test_diverged_training_is_measured_not_hidden(build, trainer, examples):
    from fitgap.training.experiment import measure_seed

    made = trainer(1e30)
    one = made.train(build(), *examples, 0)
    row = measure_seed(made.test(one, examples[1][0]), examples[1][1])
    assert not np.isfinite(row["val_loss_last"])
    assert row["epochs_to_best"] >= 1
    assert 0 <= row["test_accuracy_last"] <= 1


def test_early_stopping_ends_at_the_lowest_validation_loss_and_stays_there(build, examples):
    """The labels are noise, so the validation loss soon rises."""
    from fitgap.training.trainer import Trainer

    inputs = examples[0][0]
    labels = np.random.default_rng(0).integers(0, 3, len(inputs))
    halves = (inputs[::2], labels[::2]), (inputs[1::2], labels[1::2])
    schedule = Training(epochs=30, batch_size=10, learning_rate=0.05)
    runs = {}
    for patience in (0, 3):
        remedies = Variant(early_stopping=patience).active
        runs[patience] = Trainer(build(), schedule, remedies).train(build(), *halves, seed=0)
    stopped, whole = runs[3].history, runs[0].history
    best = stopped["val_loss"].idxmin()
    assert len(stopped) == 30 and runs[3].updates < runs[0].updates
    assert best + 3 < 29
    pd.testing.assert_frame_equal(stopped.iloc[: best + 4], whole.iloc[: best + 4])
    columns = ["train_loss", "val_loss", "val_accuracy"]
    for row in (best + 4, 29):
        np.testing.assert_allclose(stopped.loc[row, columns].astype(float), stopped.loc[best, columns].astype(float))
    for last, own in zip(runs[3].other_weights["last"], runs[3].weights, strict=True):
        np.testing.assert_array_equal(last, own)


def test_training_is_the_same_however_seldom_it_is_measured(build, examples):
    from fitgap.training.trainer import Trainer

    shared = {"epochs": 5, "batch_size": 8, "learning_rate": 0.01, "trials": 2}
    often, seldom = (
        Trainer(build(3), Contestants(**shared, validation_freq=every)).train(build(3), *examples, 0)
        for every in (1, 2)
    )
    assert seldom.history["epoch"].tolist() == [2, 4, 5]
    chosen = often.history[often.history["epoch"].isin([2, 4, 5])].reset_index(drop=True)
    pd.testing.assert_frame_equal(seldom.history.drop(columns="objective"), chosen.drop(columns="objective"))
    assert often.updates == seldom.updates
