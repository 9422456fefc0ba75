"""docs/claims.md says what the claims say."""

import dataclasses

import pytest

from fitgap.params.reading import load_params
from fitgap.programs import claims_page
from fitgap.report.claims import declare


@pytest.fixture
def claims(repository, monkeypatch):
    monkeypatch.chdir(repository)
    return declare(load_params())


def test_page_is_up_to_date(repository, claims):
    page = (repository / "docs/claims.md").read_text(encoding="utf-8")
    assert page == claims_page.render(claims), "run `python -m fitgap.programs.claims_page`"


def test_every_claim_is_on_the_page_once(claims):
    page = claims_page.render(claims)
    assert [claim.id for claim in claims if page.count(f"`{claim.id}`") != 1] == []


def test_section_is_never_empty(claims):
    assert [heading for heading, found in claims_page.group(claims).items() if not found] == [claims_page.OTHER]


def test_claim_without_a_section_of_its_own_is_not_lost(claims):
    added = dataclasses.replace(claims[0], id="maxnorm_improves_accuracy")
    assert claims_page.group([*claims, added])[claims_page.OTHER] == [added]
