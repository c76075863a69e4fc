"""The book in a browser: find a time, lose it, take the one proposed, arrive, complete, undo; keys; axe on all."""

import re
from datetime import time, timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from accounts.users.tests.factories import MembershipFactory
from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import services
from clinic.scheduling.models import Appointment
from clinic.scheduling.services import Wanted
from clinic.scheduling.states import State
from clinic.scheduling.tests.factories import at, make_location, make_practitioner, next_day, work
from clinic.scheduling.tests.test_long_days import fill

from .conftest import troubles_of, without_leaving


@pytest.fixture(scope="module")
def book(running_site, django_db_blocker):
    """Somebody with hours on weekdays from nine to twelve, and somebody without any, who is asked; made once."""

    def open_book():
        place = make_location("Riverside house")
        practitioner = make_practitioner("Berta", "Buchwald")
        work(practitioner, place)
        return {"place": place, "practitioner": practitioner, "asked": make_practitioner("Carla", "Yepes")}

    with django_db_blocker.unblock():
        return running_site.work(open_book)


def test_book_clash_take_the_proposed_time_arrive_complete_undo(site, opens, book):
    monday = next_day(0)
    patient = site.patient(first_name="Wilma", first_last_name="Walker")
    page = opens()
    page.goto("/agenda/")
    page.get_by_role("link", name="Book a visit").click()
    page.get_by_role("searchbox", name="Patient", exact=True).press_sequentially("walker wil", delay=20)
    page.locator("#found").get_by_role("link", name="WALKER, Wilma").click()
    with without_leaving(page):
        page.get_by_label("Reason for the visit").fill("Cough since Friday")
        page.get_by_label("Clinician").select_option(label="BUCHWALD, Berta")
        page.get_by_label("Day", exact=True).fill(monday.isoformat())
        page.get_by_label("Day", exact=True).blur()
        tile = page.get_by_role("radio", name="09:00")
        expect(tile).to_be_enabled()
        expect(page.get_by_role("group", name=re.compile("^Monday"))).to_be_visible()
    assert troubles_of(page) == []
    # Somebody else is quicker; the page was drawn before.
    site.work(
        lambda: services.book(
            Wanted(
                patient=PatientFactory(by=site.members["nurse"]),
                practitioner=book["practitioner"],
                starts_at=at(monday, 9),
            ),
            by=site.members["nurse"],
        )
    )
    with without_leaving(page):
        # Asked to keep it, the server says no; the times are drawn anew and nothing typed is lost.
        tile.check()
        expect(page.get_by_role("status").filter(has_text="has another visit then")).to_be_visible()
        expect(page.locator(".tile-taken").filter(has_text="09:00")).to_be_visible()
        expect(page.get_by_label("Reason for the visit")).to_have_value("Cough since Friday")
        page.get_by_role("radio", name="Another time").check()
        page.get_by_label("Another time", exact=True).last.fill("09:00")
    page.get_by_role("button", name="Book this time").click()

    alert = page.get_by_role("alert").filter(has_text="has another visit then")
    expect(alert).to_be_focused()
    near = alert.get_by_role("group", name="The nearest free times").get_by_role("button")
    expect(near).to_have_count(3)
    expect(page.get_by_label("Reason for the visit")).to_have_value("Cough since Friday")
    assert troubles_of(page) == []
    near.first.click()
    expect(page.get_by_role("heading", name="WALKER, Wilma")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("09:30–10:00")
    assert page.title().startswith("WALKER, Wilma")
    assert troubles_of(page) == []

    for button, state in (("Arrived", "Arrived"), ("In the room", "In the room"), ("Done", "Completed")):
        page.get_by_role("button", name=button).first.click()
        expect(page.get_by_role("status").filter(has_text=f"{state}:")).to_be_visible()
    page.get_by_role("button", name="Undo the last change").click()
    expect(page.get_by_role("region", name="State")).to_contain_text("In the room")
    page.goto(f"/patients/{patient.pk}/visits/")
    expect(page.get_by_role("table", name=None).first).to_contain_text("09:30–10:00")
    assert troubles_of(page) == []


def test_today_taps_do_not_load_the_page_and_keep_the_focus(site, opens, book):
    patient = site.patient(first_name="Ulla", first_last_name="Today")
    site.work(
        lambda: services.book(
            Wanted(patient=patient, practitioner=book["asked"], starts_at=timezone.now() + timedelta(minutes=1)),
            by=site.members["nurse"],
        )
    )
    page = opens()
    page.goto("/")
    row = page.get_by_role("listitem").filter(has_text="TODAY, Ulla")
    assert troubles_of(page) == []

    with without_leaving(page):
        row.get_by_role("button", name="Arrived").click()
        expect(row).to_contain_text("early")
        row.get_by_role("button", name="In the room").click()
        expect(row.get_by_role("button", name="Done")).to_be_visible()
        # The minute's refresh, called early: the focus stays where it was.
        row.get_by_role("link", name="TODAY, Ulla", exact=True).focus()
        page.evaluate("htmx.trigger(document.querySelector('[data-refreshes]'), 'shown')")
        page.wait_for_timeout(1000)
        expect(row.get_by_role("link", name="TODAY, Ulla", exact=True)).to_be_focused()
        row.get_by_role("button", name="Undo").click()
        expect(row.get_by_role("button", name="In the room")).to_be_visible()
    row.get_by_role("link", name="Cancel").click()
    assert troubles_of(page) == []
    page.get_by_label("The patient is ill").check()
    page.get_by_role("button", name="Cancel the visit").click()
    expect(page).to_have_url(f"{site.url}/")
    expect(page.get_by_role("listitem").filter(has_text="TODAY, Ulla")).to_contain_text("Cancelled")


def test_agenda_by_keys_and_for_everybody(opens, book):
    page = opens()
    page.goto("/agenda/?day=2026-03-02&view=day")
    page.locator("body").press("n")
    expect(page).to_have_url(re.compile("day=2026-03-03"))
    page.locator("body").press("ArrowLeft")
    expect(page).to_have_url(re.compile("day=2026-03-02"))
    page.locator("body").press("t")
    expect(page.locator('[data-key="today"]')).to_have_attribute("aria-current", "date")
    page.locator("body").press("g")
    page.locator("body").press("t")
    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    monday = next_day(0)
    for view in ("day", "week", "list", "day&by=room"):
        page.goto(f"/agenda/?day={monday}&view={view}")
        assert troubles_of(page) == []


def test_a_long_day_is_leafed_through_by_keys_and_links(site, opens, book):
    def fill_days():
        place, member = book["place"], site.members["nurse"]
        midnight = timezone.localtime(timezone=place.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        people = [PatientFactory(by=member, first_name="Long", first_last_name="Day")]
        fill(place, member, 45, now=midnight, people=people)
        fill(place, member, 70, now=midnight + timedelta(days=400, hours=9), people=people)
        return (midnight + timedelta(days=400)).date()

    day = site.work(fill_days)
    page = opens()
    page.goto("/?expected=0")
    expected = page.locator(".board-agenda .visits").first.locator("li")
    expect(expected).to_have_count(20)
    page.locator("body").press("n")
    expect(page).to_have_url(re.compile("expected=20#expected-visits"))
    assert troubles_of(page) == []
    page.locator("body").press("p")
    expect(page).to_have_url(re.compile("expected=0#expected-visits"))
    page.locator("body").press("t")
    expect(page).to_have_url(re.compile("^[^=]*#expected-visits$"))
    page.goto(f"/agenda/?view=list&day={day}")
    expect(page.locator(".visits li")).to_have_count(60)
    page.get_by_role("link", name="After these: 10").click()
    expect(page.get_by_role("link", name="Before these: 10")).to_be_visible()
    assert troubles_of(page) == []
    page.get_by_role("link", name="09:00", exact=True).click()
    expect(page.locator(".visits time").first).to_have_text("09:00")


def test_move_page_can_be_used_by_everybody(site, opens, book):
    visit = site.work(
        lambda: services.book(
            Wanted(
                patient=PatientFactory(by=site.members["nurse"]),
                practitioner=book["practitioner"],
                starts_at=at(next_day(2), 9),
            ),
            by=site.members["nurse"],
        )
    )
    page = opens()
    page.goto(f"/appointments/{visit.pk}/")
    page.get_by_role("link", name="Another time").click()
    assert troubles_of(page) == []
    page.get_by_role("radio", name="11:00").check()
    page.get_by_role("button", name="Move to this time").click()
    expect(page.get_by_role("main")).to_contain_text("1 visit is moved.")
    page.get_by_role("button", name="Undo the last change").click()
    expect(page.get_by_role("main")).to_contain_text("09:00–09:30")


def kept_times(site):
    return site.work(lambda: list(Appointment.objects.filter(state=State.HELD).values_list("starts_at", "id")))


def test_a_time_is_kept_while_somebody_types_and_becomes_the_visit(site, opens, book):
    tuesday = next_day(1)
    patient, other = (site.patient(first_name=name, first_last_name="Keeper") for name in ("Kim", "Kay"))
    address = f"/appointments/new/?practitioner={book['practitioner'].pk}&day={tuesday}"
    page, desk = opens(), opens("doctor")
    page.goto(f"{address}&patient={patient.pk}")
    page.get_by_role("radio", name="09:00").check()
    line = page.get_by_role("status").filter(has_text="09:00 is kept for you until")
    expect(line).to_be_visible()
    expect(page.locator("[data-hold-count]")).to_have_text(re.compile(r"^9:\d\d$"))
    assert troubles_of(page) == []

    desk.goto(f"{address}&patient={other.pk}")
    expect(desk.locator(".tile-taken").filter(has_text="09:00")).to_contain_text("Kept by Nora Nurse until")

    page.get_by_label("Reason for the visit").fill("Cough")
    page.get_by_role("radio", name="09:30").check()
    expect(page.get_by_role("status").filter(has_text="09:30 is kept")).to_be_visible()
    ((starts_at, hold),) = kept_times(site)
    assert starts_at == at(tuesday, 9, 30)
    # It lapses unseen; nobody else wants it, so that saving still books it.
    site.work(lambda: Appointment.objects.filter(pk=hold).update(hold_expires_at=timezone.now()))
    page.get_by_role("button", name="Book this time").click()
    expect(page.get_by_role("heading", name="KEEPER, Kim")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("Cough")
    assert kept_times(site) == []


def test_a_time_that_lapses_is_said_and_kept_again_at_the_next_key(site, opens, book):
    wednesday = next_day(2, after=21)
    patient = site.patient(first_name="Lana", first_last_name="Lapse")
    page = opens()
    page.clock.install()
    page.goto(f"/appointments/new/?practitioner={book['practitioner'].pk}&day={wednesday}&patient={patient.pk}")
    page.get_by_role("radio", name="09:00").check()
    expect(page.get_by_role("status").filter(has_text="is kept for you until")).to_be_visible()

    site.work(lambda: Appointment.objects.filter(state=State.HELD).update(hold_expires_at=timezone.now()))
    page.clock.fast_forward(601_000)
    expect(page.get_by_role("status").filter(has_text="not kept for you any more")).to_be_visible()
    expect(page.get_by_role("button", name="Keep it again")).to_be_visible()
    assert troubles_of(page) == []
    page.get_by_label("Reason for the visit").press_sequentially("Cough")
    expect(page.get_by_role("status").filter(has_text="09:00 is kept for you until")).to_be_visible()
    expect(page.get_by_label("Reason for the visit")).to_have_value("Cough")
    page.goto("/agenda/")


def test_leaving_the_page_lets_the_time_go_and_saving_keeps_it(site, opens, book):
    tuesday = next_day(1, after=14)
    patient = site.patient(first_name="Lou", first_last_name="Leaver")
    address = f"/appointments/new/?practitioner={book['practitioner'].pk}&day={tuesday}&patient={patient.pk}"
    page = opens()
    page.goto(f"{address}&time=10:00")  # a time clicked in the agenda is kept at once
    expect(page.get_by_role("status").filter(has_text="10:00 is kept for you")).to_be_visible()
    page.goto("/agenda/")
    for _try in range(20):
        if not kept_times(site):
            break
        page.wait_for_timeout(100)
    assert kept_times(site) == []

    page.goto(f"{address}&time=10:00")
    expect(page.get_by_role("status").filter(has_text="10:00 is kept for you")).to_be_visible()
    ((_starts_at, hold),) = kept_times(site)
    page.get_by_role("button", name="Book this time").click()
    expect(page).to_have_url(f"{site.url}/appointments/{hold}/")
    page.wait_for_timeout(300)
    assert site.work(lambda: Appointment.objects.get(pk=hold).state) == State.BOOKED


def test_without_script_booking_works_as_well(site, opens, book):
    wednesday = next_day(2, after=14)
    patient = site.patient(first_name="Nolan", first_last_name="Noscript")
    page = opens(java_script_enabled=False)
    page.goto(f"/appointments/new/?practitioner={book['practitioner'].pk}&day={wednesday}&patient={patient.pk}")
    page.get_by_role("button", name="Day after").click()
    page.get_by_role("radio", name="11:00").check()
    page.get_by_label("Reason for the visit").fill("Cough")
    page.get_by_role("button", name="Book this time").click()
    expect(page.get_by_role("heading", name="NOSCRIPT, Nolan")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("11:00–11:30")


def test_booking_by_keyboard_alone(site, opens, book):
    thursday = next_day(3, after=14)
    site.patient(first_name="Kira", first_last_name="Keyboard")
    page = opens()
    page.goto(f"/appointments/new/?practitioner={book['practitioner'].pk}&day={thursday}")
    page.keyboard.type("keyboard ki")  # the field has the focus
    expect(page.locator("#found").get_by_role("link", name="KEYBOARD, Kira")).to_be_visible()
    press_until(page, "Tab", "#found a")
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio", name="09:00")).to_be_visible()
    press_until(page, "Tab", "#times input[name=slot]")
    page.keyboard.press("ArrowDown")  # radios by arrows
    page.keyboard.press("ArrowDown")
    expect(page.locator("#times input:checked")).to_be_focused()
    expect(page.get_by_role("status").filter(has_text="is kept for you until")).to_be_visible()
    press_until(page, "Tab", "textarea[name=reason]")
    page.keyboard.type("Cough")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="KEYBOARD, Kira")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("Cough")


def press_until(page, key, selector, most=60):
    """Press a key until the focus is there, as somebody without a mouse does."""
    for _press in range(most):
        page.keyboard.press(key)
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is never reached by {key}")


def drag_card(page, card, clock, *, column):
    """Drag a card by its upper edge to a time of a column, as a hand does: down, some way, there, up."""
    start, ground = card.bounding_box(), column.locator(".ground").bounding_box()
    first, last = (int(column.get_attribute(f"data-{name}")) for name in ("first", "last"))
    hour, minute = map(int, clock.split(":"))
    y = ground["y"] + ground["height"] * (hour * 60 + minute - first) / (last - first)
    page.mouse.move(start["x"] + 20, start["y"] + 4)
    page.mouse.down()
    page.mouse.move(start["x"] + 30, start["y"] + 14, steps=3)
    page.mouse.move(ground["x"] + 40, y + 5, steps=6)
    page.mouse.up()


def test_a_visit_is_dragged_after_a_yes_and_put_back_when_refused(site, opens, book):
    friday = next_day(4, after=14)
    patient = site.patient(first_name="Dora", first_last_name="Dragged")
    nurse = site.members["nurse"]

    def fill():
        for who, hour in ((patient, 9), (PatientFactory(by=nurse), 11)):
            services.book(Wanted(patient=who, practitioner=book["practitioner"], starts_at=at(friday, hour)), by=nurse)

    site.work(fill)
    page = opens()
    page.goto(f"/agenda/?day={friday}&view=day&practitioner={book['practitioner'].pk}")
    card, column = page.locator(".visit-card").filter(has_text="DRAGGED"), page.locator("[data-drop]").first
    dialog = page.get_by_role("dialog", name="Move this visit?")

    drag_card(page, card, "10:00", column=column)
    expect(dialog).to_contain_text("DRAGGED, Dora")
    expect(dialog.locator("[data-drag-from]")).to_contain_text("09:00")
    expect(dialog.locator("[data-drag-to]")).to_contain_text("10:00")
    assert troubles_of(page) == []
    dialog.get_by_role("button", name="Leave it where it is").click()
    expect(card).to_contain_text("09:00")

    with without_leaving(page):
        drag_card(page, card, "10:00", column=column)
        dialog.get_by_role("button", name="Move the visit").click()
        expect(card).to_contain_text("10:00")
        expect(page.get_by_role("status").filter(has_text="1 visit is moved.")).to_be_visible()

        drag_card(page, card, "11:00", column=column)
        dialog.get_by_role("button", name="Move the visit").click()
        expect(dialog.get_by_role("alert")).to_contain_text("has another visit then")
        page.keyboard.press("Escape")
        expect(card).to_contain_text("10:00")
    card.click()  # without dragging it opens the visit
    expect(page.get_by_role("heading", name="DRAGGED, Dora")).to_be_visible()
    # The browser writes down the 422 that was asked for.
    opens.complaints[:] = [said for said in opens.complaints if "422" not in said]


def test_the_walk_of_the_issue(site, opens, book):
    """Book, clash, take the proposed time, arrive, complete, ill today, undo."""
    nurse = site.members["nurse"]

    def fill():
        zone = f"Etc/GMT{timezone.now().hour - 12:+d}"  # a house where it is about noon
        house = make_location("Walk house", zone)
        doctor = make_practitioner("Ilse", "Walker-Ill")
        colleague = make_practitioner("Olga", "Walker-Out")
        for person in (doctor, colleague):
            work(person, house, weekdays=range(7), starts=time(0), ends=time(23, 30))
        now = timezone.now().astimezone(house.zone).replace(second=0, microsecond=0)
        base = now.replace(minute=0) + timedelta(hours=1)
        services.book(
            Wanted(patient=PatientFactory(by=nurse), practitioner=doctor, location=house, starts_at=base), by=nurse
        )
        return doctor, base

    doctor, base = site.work(fill)
    patient = site.patient(first_name="Wanda", first_last_name="Walk")
    page = opens()
    page.goto(f"/appointments/new/?practitioner={doctor.pk}&day={base:%Y-%m-%d}&patient={patient.pk}")
    page.get_by_label("Reason for the visit").fill("Cough since Friday")
    page.get_by_role("radio", name="Another time").check()
    page.get_by_label("Another time", exact=True).last.fill(f"{base:%H:%M}")
    page.get_by_role("button", name="Book this time").click()
    alert = page.get_by_role("alert").filter(has_text="has another visit then")
    alert.get_by_role("group", name="The nearest free times").get_by_role("button").first.click()
    expect(page.get_by_role("heading", name="WALK, Wanda")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("Cough since Friday")
    for button, state in (("Arrived", "Arrived"), ("In the room", "In the room"), ("Done", "Completed")):
        page.get_by_role("button", name=button).first.click()
        expect(page.get_by_role("status").filter(has_text=f"{state}:")).to_be_visible()

    # The clinician goes home ill; the desk moves whoever comes yet to a colleague, and takes it back by one press.
    site.members.setdefault("desk", site.work(lambda: MembershipFactory(role="staff", user__name="Rita Reception")))
    page = opens("desk")
    page.goto(f"/practitioners/{doctor.pk}/leave/")
    assert troubles_of(page) == []
    page.get_by_role("button", name="Ill today").click()
    expect(page.get_by_role("main")).to_contain_text("with Olga Walker-Out")
    assert troubles_of(page) == []
    page.get_by_role("button", name="Take the leave").click()
    expect(page.get_by_role("main")).to_contain_text("The leave is in the book.")
    expect(page.get_by_role("main")).to_contain_text("with Olga Walker-Out")
    page.get_by_role("button", name="Undo all of it").click()
    expect(page.get_by_role("status").filter(has_text="1 visit is where it was")).to_be_visible()
