"""docs/claims.md says what the claims say."""

import pytest

from fitgap.claims import declare
from fitgap.claims.claim import TOPICS
from fitgap.params.reading import load_params
from fitgap.programs import claims_page


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


def test_every_topic_has_a_section_with_its_claims(claims):
    page = claims_page.render(claims)
    for topic, title in TOPICS.items():
        section = page.split(f"\n## {title}\n")[1].split("\n## ")[0]
        own = {claim.id for claim in claims if claim.topic == topic}
        assert own and {claim.id for claim in claims if f"`{claim.id}`" in section} == own
