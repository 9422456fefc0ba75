"""Stores written by other trainers: a classifier of scikit-learn and, where installed, one of PyTorch."""

import importlib.util

import numpy as np
from mlflow import MlflowClient


def scores_of_scikit_learn(seed):
    """Return the accuracy of three classifiers on a draw of the digits."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

    images, labels = load_digits(return_X_y=True)
    draws = train_test_split(images, labels, train_size=200, test_size=300, random_state=seed)
    models = {"bayes": GaussianNB(), "centroid": NearestCentroid(), "neighbours": KNeighborsClassifier()}
    return {name: model.fit(draws[0], draws[2]).score(draws[1], draws[3]) for name, model in models.items()}


def score_of_pytorch(seed):
    """Return the accuracy of a linear network, or None where PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        return {}
    import torch
    from sklearn.datasets import load_digits

    torch.manual_seed(seed)
    images, labels = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    order, network = torch.randperm(len(labels)), torch.nn.Linear(64, 10)
    optimizer, train, test = torch.optim.Adam(network.parameters(), 0.01), order[:200], order[200:500]
    for _ in range(50):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images[train].float() / 16), labels[train]).backward()
        optimizer.step()
    right = network(images[test].float() / 16).argmax(1) == labels[test]
    return {"linear": float(right.float().mean())}


def train(seeds=10):
    """Return contestant -> accuracies by seed."""
    rows = [scores_of_scikit_learn(seed) | score_of_pytorch(seed) for seed in range(seeds)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def log(address, values, experiment="digits", with_parents=False):
    """Log a run for each contestant and seed, as trainers do; return contestant -> ids. Parents hold the means."""
    client = MlflowClient(address)
    known = client.get_experiment_by_name(experiment)
    number = known.experiment_id if known else client.create_experiment(experiment)
    ids = {}
    for name, own in values.items():
        parent = log_run(client, number, name, None, own.mean()) if with_parents else None
        ids[name] = [log_run(client, number, name, seed, value, parent) for seed, value in enumerate(own)]
        ids[name] += [parent] if parent else []
    return ids


def log_run(client, experiment_id, name, seed, value, parent=None, status="FINISHED"):
    """Log one run and return its id."""
    tags = {"mlflow.parentRunId": parent} if parent else {}
    run_id = client.create_run(experiment_id, tags=tags, run_name=f"{name}-{seed}").info.run_id
    client.log_param(run_id, "model", name)
    client.log_param(run_id, "learning_rate", 0.1)
    if seed is not None:
        client.log_param(run_id, "seed", seed)
    if value is not None:
        client.log_metric(run_id, "val_accuracy", value)
    client.log_metric(run_id, "epochs", 5)
    client.set_terminated(run_id, status)
    return run_id
