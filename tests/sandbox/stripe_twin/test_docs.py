import re
from pathlib import Path

from sandbox.stripe_twin.cards import TEST_CARDS

PAGE = (Path(__file__).parents[3] / "docs" / "stripe-twin.md").read_text(encoding="utf-8")


def test_the_example_of_the_page_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/stripe-twin.md", "exec"), {})


def test_the_page_lists_every_test_card() -> None:
    listed = {name: number.replace(" ", "") for name, number in re.findall(r"\| `(\w+)` \| ([\d ]+) \|", PAGE)}
    assert listed == {card.name: card.number for card in TEST_CARDS}
