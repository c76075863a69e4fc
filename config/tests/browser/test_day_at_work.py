"""What a nurse does all day, with the mouse and with the keyboard alone."""

import re
from datetime import date

from playwright.sync_api import expect

from .conftest import sign_in, without_leaving


def chart(patient):
    return f"/patients/{patient.pk}/"


def test_sign_in_find_open_change_and_sign_out(site, opens):
    patient = site.patient(first_name="Zacarías", first_last_name="Quintana", birth_date=date(1990, 1, 2))
    page = opens(None)

    page.goto(chart(patient))
    expect(page).to_have_url(re.compile("/sign-in/"))
    page.get_by_label("E-mail or user name").fill(site.members["leaving"].user.email)
    page.get_by_label("Password").fill("not this one")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Invalid email or password")
    sign_in(page, site.members["leaving"])

    page.get_by_role("searchbox", name="Find a patient").fill("quintana zac")
    page.keyboard.press("Enter")
    expect(page).to_have_url(site.url + chart(patient))
    assert page.title().startswith("QUINTANA, Zacarías")

    page.get_by_role("link", name="Change", exact=True).click()
    page.get_by_label("City").fill("Cali")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(site.url + chart(patient))
    expect(page.get_by_role("main")).to_contain_text("Cali")
    expect(page.get_by_role("main")).to_contain_text("Saved.")

    page.locator(".member-button").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in/"))
    page.go_back()
    expect(page.locator("body")).not_to_contain_text("QUINTANA")
    page.goto(chart(patient))
    expect(page).to_have_url(re.compile("/sign-in/"))


def test_search_shows_results_while_typing(opens):
    page = opens()
    page.goto("/patients/")
    rows = page.locator("#results tbody tr")

    with without_leaving(page):
        page.get_by_role("searchbox", name="Find a patient").press_sequentially("restrepo", delay=20)
        expect(rows).to_have_count(5)
        expect(page.get_by_role("status")).to_have_text("5 patients")
        page.keyboard.type(" cam")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("RESTREPO, Camila")
        page.keyboard.type("xyz")
        expect(page.locator("#results")).to_contain_text("No patient found")
        expect(page.get_by_role("searchbox", name="Find a patient")).to_be_focused()
        page.get_by_role("searchbox", name="Find a patient").fill("52123454")
        expect(rows).to_have_count(1)

    page.keyboard.press("Enter")
    expect(page).to_have_title(re.compile("^RESTREPO, Fabio"))


def test_stale_save_shows_both_versions_and_the_second_save_keeps_both(site, opens):
    patient = site.patient(first_name="Yolanda", first_last_name="Stale", birth_date=date(1978, 3, 14))
    mine, theirs = opens("nurse"), opens("doctor")
    for page, city in ((mine, "Pasto"), (theirs, "Cali")):
        page.goto(chart(patient) + "edit/")
        page.get_by_label("City").fill(city)
    mine.get_by_role("textbox", name="Alerts").fill("Falls")
    theirs.get_by_label("Mobile phone").fill("300 123 4567")
    theirs.get_by_role("button", name="Save").click()
    expect(theirs).to_have_url(site.url + chart(patient))

    mine.get_by_role("button", name="Save").click()

    table = mine.get_by_role("table")
    expect(mine.get_by_text("Somebody saved this before you.")).to_be_visible()
    expect(mine.get_by_text("Dario Doctor")).to_be_visible()
    expect(table.get_by_role("row", name="City")).to_contain_text("Both changed it")
    expect(table.get_by_role("row", name="Mobile phone")).to_contain_text("They changed it")
    expect(mine.get_by_label("Mobile phone")).to_have_value("300 123 4567")
    expect(mine.get_by_label("City")).to_have_value("Pasto")

    mine.get_by_role("button", name="Save").click()
    expect(mine).to_have_url(site.url + chart(patient))
    expect(mine.locator(".banner")).to_contain_text("Falls")
    expect(mine.get_by_role("main")).to_contain_text("Pasto")
    expect(mine.get_by_role("main")).to_contain_text("300 123 4567")


def test_registering_somebody_who_looks_known_asks_first(site, opens):
    site.patient(first_name="Ximena", first_last_name="Doble", birth_date=date(1988, 5, 6))
    page = opens()
    page.goto("/patients/new/")
    page.get_by_label("First name").fill("Ximena")
    page.get_by_label("First family name").fill("Doble")
    page.get_by_label("Day", exact=True).first.fill("6")
    page.get_by_label("Month", exact=True).first.fill("May")
    page.get_by_label("Year", exact=True).first.fill("1988")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Sex")
    expect(page.get_by_role("alert")).to_be_focused()

    page.get_by_label("Female").check()
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_text("Is it one of these? Nothing is saved yet.")).to_be_visible()
    expect(page.get_by_text("similar name, same birth date")).to_be_visible()

    page.get_by_role("button", name="Somebody else: register").first.click()
    expect(page.get_by_text("Ximena Doble is registered.")).to_be_visible()


def test_leaving_a_form_half_filled_asks_first(site, opens):
    patient = site.patient(first_name="Wilson", first_last_name="Half")
    page = opens()
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto(chart(patient) + "edit/")
    page.get_by_label("City").press_sequentially("Cali")

    page.get_by_role("link", name="Cancel").click()

    expect(page).to_have_url(site.url + chart(patient))
    assert asked == ["beforeunload"]


# --- The keyboard alone ----------------------------------------------------------------------------------------------

REGION = """() => {
  const here = document.activeElement;
  for (const [name, selector] of [["skip link", ".skip-link"], ["rail", ".rail"], ["search", ".search"],
                                  ["top bar", ".topbar-end"], ["banner", ".banner, .tabs"], ["page", "main"]])
    if (here.closest(selector)) return name;
  return here.tagName;
}"""


def test_tab_goes_from_the_skip_link_by_rail_and_search_to_the_page(site, opens):
    page = opens()
    page.goto(chart(site.members["full"]))
    regions = []
    while "page" not in regions and len(regions) < 40:
        page.keyboard.press("Tab")
        regions.append(page.evaluate(REGION))

    assert list(dict.fromkeys(regions)) == ["skip link", "rail", "search", "top bar", "banner", "page"]


def test_skip_link_goes_to_the_page(opens):
    page = opens()
    page.goto("/patients/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()

    page.keyboard.press("Enter")

    expect(page.locator("#main")).to_be_focused()


def test_slash_goes_to_the_search_and_not_while_typing(opens):
    page = opens()
    page.goto("/")
    search = page.get_by_role("searchbox", name="Find a patient")
    page.keyboard.press("/")
    expect(search).to_be_focused()

    page.keyboard.type("14/3")
    expect(search).to_have_value("14/3")


def test_g_then_a_letter_goes_there(opens, site):
    page = opens()
    page.goto("/")

    page.keyboard.press("g")
    page.keyboard.press("p")

    expect(page).to_have_url(site.url + "/patients/")


def test_escape_closes_a_dialog_and_gives_the_focus_back(site, opens):
    page = opens()
    page.goto(chart(site.members["full"]))
    button = page.get_by_role("button", name="Archive this chart")
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Archive this chart?")
    expect(dialog).to_be_visible()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")

    page.keyboard.press("Escape")

    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()


def test_question_mark_shows_the_keys(opens):
    page = opens()
    page.goto("/")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()

    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()


def test_control_enter_saves(site, opens):
    patient = site.patient(first_name="Victor", first_last_name="Keys")
    page = opens()
    page.goto(chart(patient) + "edit/")
    page.get_by_label("Medical history").fill("Asthma")

    page.keyboard.press("Control+Enter")

    expect(page).to_have_url(site.url + chart(patient))
    expect(page.get_by_role("main")).to_contain_text("Asthma")


# --- Colours and languages -------------------------------------------------------------------------------------------


def test_colours_change_and_stay(opens):
    page = opens(color_scheme="light")
    page.goto("/")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)

    page.locator(".member-button").click()
    page.get_by_role("button", name="Dark").click()

    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    dark = page.evaluate(background)
    assert dark != light
    page.goto("/patients/")
    assert page.evaluate(background) == dark
    assert page.evaluate("JSON.stringify(localStorage)") == '{"theme":"dark"}'


def test_language_changes_and_stays(opens):
    page = opens("spanish")
    page.goto("/patients/")
    page.locator(".member-button").click()

    page.get_by_role("button", name="Español").click()

    expect(page.locator("html")).to_have_attribute("lang", "es")
    expect(page.get_by_role("heading", level=1)).to_have_text("Pacientes")
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("lang", "es")


def test_nothing_about_patients_stays_in_the_browser(site, opens):
    page = opens()
    page.goto(chart(site.members["full"]))
    page.goto("/patients/")
    page.get_by_role("searchbox", name="Find a patient").press_sequentially("restrepo")
    expect(page.locator("#results tbody tr")).to_have_count(5)

    kept = page.evaluate("JSON.stringify([localStorage, sessionStorage])") + str(page.context.cookies())

    assert not re.search("restrepo|berg", kept, re.IGNORECASE)


def test_pages_work_without_script(site, opens):
    page = opens(java_script_enabled=False)
    page.goto("/patients/")
    page.get_by_role("searchbox", name="Find a patient").fill("restrepo elena")
    page.keyboard.press("Enter")
    expect(page).to_have_title(re.compile("^RESTREPO, Elena"))
