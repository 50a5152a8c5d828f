"""The sessions of the admin page."""

from __future__ import annotations

from admin.sessions import LIFE, MOST, Sessions

NOW = 1000.0


def test_a_session_is_found_by_its_cookie_until_it_ends() -> None:
    sessions = Sessions()

    cookie = sessions.open(NOW)

    assert sessions.find(cookie, NOW + LIFE - 1)
    assert sessions.find(cookie, NOW + LIFE) is None
    assert sessions.find(cookie, NOW) is None


def test_nothing_else_finds_it() -> None:
    sessions = Sessions()
    cookie = sessions.open(NOW)

    assert all(
        sessions.find(each, NOW) is None for each in ("", cookie[:-1], cookie + "x", "\udc80")
    )


def test_the_oldest_session_makes_room() -> None:
    sessions = Sessions()

    first, *others = [sessions.open(NOW) for _ in range(MOST + 1)]

    assert sessions.find(first, NOW) is None
    assert all(sessions.find(each, NOW) for each in others)


def test_what_is_told_is_heard_once() -> None:
    sessions = Sessions()
    session = sessions.find(sessions.open(NOW), NOW)
    other = sessions.find(sessions.open(NOW), NOW)
    assert session
    assert other

    session.tell("notice", "done")

    assert other.hear("notice") is None
    assert session.hear("notice") == "done"
    assert session.hear("notice") is None


def test_only_its_own_forms_are_a_sessions() -> None:
    sessions = Sessions()
    session = sessions.find(sessions.open(NOW), NOW)
    other = sessions.find(sessions.open(NOW), NOW)
    assert session
    assert other

    assert session.has_sent(session.forms)
    assert not any(session.has_sent(each) for each in ("", other.forms, session.forms + "x"))
