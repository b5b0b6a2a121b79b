"""Two people of finance: one writes a draft, the other approves it; forms alone, no script."""

import re
from html import unescape

from accounts.model import StaffRole
from pricing.second_look import Policy
from tests.web.conftest import PASSWORD, Shop
from tests.web.desk.conftest import ARMCHAIR, Clerk

COLLEAGUE = "second@meridian.example"


async def step(
    clerk: Clerk, draft: str, name: str, *, version: str | None = None, comment: str = ""
) -> tuple[int, str]:
    """Press one of the review's buttons, as the page stands or as it stood at *version*."""
    page = await clerk.get(f"{draft}/publication")
    shown = re.search(r'name="version" value="(\d+)"', page)
    assert shown
    answer = await clerk.browser.submit(
        f"{draft}/review",
        {"step": name, "comment": comment, "version": version or shown[1]},
        page=f"{draft}/publication",
    )
    return answer.status_code, unescape(answer.text)


async def test_a_draft_is_published_once_a_colleague_has_approved_it(clerk: Clerk, shop: Shop) -> None:
    await shop.services.members.create_staff(
        email=COLLEAGUE, name="Second desk", password=PASSWORD, role=StaffRole.FINANCE
    )
    shop.services.pricing.approval_required = True
    colleague = Clerk(shop.client())
    await colleague.browser.log_in(COLLEAGUE)
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="248")
    await clerk.acknowledge(draft)
    page = await clerk.get(f"{draft}/publication")
    assert "Publishing is possible once a colleague has approved it." in page
    assert f'action="{draft}/publication"' not in page
    assert 'value="approved"' not in page
    refused = await clerk.browser.submit(
        f"{draft}/publication", {"note": "Agreed by phone", "when": "soon"}, page=f"{draft}/publication"
    )
    assert refused.status_code == 422
    assert "Agreed by phone" in refused.text

    assert (await step(clerk, draft, "submitted", comment="Rates of <spring>"))[0] == 303
    status, page = await step(clerk, draft, "approved", comment="By myself")
    assert (status, "cannot approve it" in page, "By myself" in page) == (422, True, True)
    page = await colleague.get(f"{draft}/publication")
    assert "Rates of &lt;spring&gt;" in page
    assert 'value="approved"' in page
    status, page = await step(colleague, draft, "returned")
    assert (status, "Write a comment" in page) == (422, True)
    assert (await step(colleague, draft, "nonsense"))[0] == 422
    stale = await step(colleague, draft, "approved", version="0")
    assert (stale[0], "edited since" in stale[1]) == (422, True)
    assert (await step(colleague, draft, "approved", comment="Fine"))[0] == 303
    assert "Está aprobado tal como está" in await clerk.get(f"{draft}/publication?lang=es")

    answer = await clerk.browser.submit(
        f"{draft}/publication", {"note": "Spring", "when": "soon"}, page=f"{draft}/publication"
    )
    assert answer.status_code == 303
    page = await clerk.get("/desk/prices/publications/2?lang=en")
    assert "Second desk" in page.split("Approved by")[1].split("Published by")[0]
    assert "no approval" in await clerk.get("/desk/prices/publications/1?lang=en")


async def test_a_large_change_says_why_it_needs_a_second_approver_and_keeps_all_that_was_said(
    clerk: Clerk, shop: Shop
) -> None:
    colleagues = []
    for name in ("Second", "Third"):
        email = f"{name.lower()}@meridian.example"
        await shop.services.members.create_staff(
            email=email, name=f"{name} desk", password=PASSWORD, role=StaffRole.FINANCE
        )
        colleagues.append(Clerk(shop.client()))
        await colleagues[-1].browser.log_in(email)
    second, third = colleagues
    shop.services.pricing.approval_required = True
    shop.services.pricing.policy = Policy(percent="5")
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="200")
    await clerk.acknowledge(draft)
    await step(clerk, draft, "commented", comment="The maker's price fell")
    await step(clerk, draft, "submitted")
    assert (await step(second, draft, "approved", comment="So it did"))[0] == 303

    page = unescape(await third.get(f"{draft}/publication?lang=en"))
    assert re.search(r"A price moves by -[0-9.]+ % \(CRUNCHY-ARMCHAIR in [A-Z]{3}\); more than 5 %", page)
    assert "Second desk has approved it. It waits for a second approval" in page
    assert "once a second colleague has approved it" in page
    refused = await step(second, draft, "approved")
    assert refused[0] == 422
    assert (await step(third, draft, "approved"))[0] == 303
    answer = await clerk.browser.submit(
        f"{draft}/publication", {"note": "As the maker", "when": "soon"}, page=f"{draft}/publication"
    )
    assert answer.status_code == 303, unescape(answer.text)

    page = unescape(await clerk.get("/desk/prices/publications/2?lang=en"))
    for said in ("Second desk", "Third desk", "more than 5 %", "The maker's price fell", "So it did"):
        assert said in page


async def test_where_a_review_stands_is_seen_on_the_lists_of_drafts(clerk: Clerk) -> None:
    draft = await clerk.begin("Spring")
    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="248")
    await step(clerk, draft, "commented", comment="Wait for the maker")
    assert "It was edited since" not in await clerk.get(f"{draft}/publication"), "nobody submitted it yet"
    assert "submitted for review" not in await clerk.get("/desk")
    assert (await step(clerk, draft, "submitted"))[0] == 303
    for path in ("/desk", "/desk/prices"):
        assert "submitted for review" in (await clerk.get(path)).split("Spring</a>")[1].split("</tr>")[0]

    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="247")

    assert "submitted for review" not in await clerk.get("/desk"), "an edit withdraws it"


async def test_a_comment_that_comes_after_the_draft_was_closed_is_refused_and_shown(clerk: Clerk) -> None:
    draft = await clerk.begin("Spring")
    await step(clerk, draft, "commented", comment="Wait for the maker")
    token = await clerk.browser.token(f"{draft}/publication")
    await clerk.browser.submit(f"{draft}/discard", page=draft)

    late = {"form_token": token, "step": "commented", "comment": "The maker <called>", "version": "0"}
    answer = await clerk.browser.post(f"{draft}/review", data=late)

    assert answer.status_code == 409
    assert "Your comment was not kept" in answer.text
    assert "The maker &lt;called&gt;" in answer.text
    page = await clerk.get(f"{draft}/publication")
    assert "Wait for the maker" in page
    assert "The maker" not in page
    assert 'action="' + f"{draft}/review" not in page
    assert f'href="{draft}/publication"' in await clerk.get(draft), "a closed draft leads to what was said of it"


async def test_a_clerk_sees_which_warnings_are_new_and_ticks_the_others_at_once(clerk: Clerk) -> None:
    draft = await clerk.begin("Dearer than the contract")
    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="200")
    page = unescape(await clerk.get(f"{draft}/publication"))
    new, known = page.split('id="warning"')[1].split("stood against publication 1 too")
    assert "initech pays more than everyone" in new
    assert "The demo shows them" not in new
    group = re.search(r'name="warnings" value="([^"]+)"', known)
    assert group
    assert set(group[1].split()) == set(re.findall(r'name="warning" value="([^"]+)"', known))
    assert known.count("The demo shows them") == len(group[1].split())

    answer = await clerk.browser.submit(
        f"{draft}/acknowledgements", {"warnings": group[1], "reason": "As before"}, page=f"{draft}/publication"
    )

    assert answer.status_code == 303
    page = await clerk.get(f"{draft}/publication")
    assert page.count("As before") == len(group[1].split())
    assert re.findall(r'name="warning" value="([^"]+)"', page) == re.findall(r'name="warning" value="([^"]+)"', new)


async def test_a_publication_is_taken_along_and_read_in_ones_own_language(clerk: Clerk) -> None:
    page = unescape(await clerk.get("/desk/prices/publications/1?lang=es"))
    for form in ("xlsx", "csv"):
        assert f'href="/desk/prices/publications/1/export/{form}"' in page
    assert "más cuestan menos" in page
    assert "more cost less" not in page
