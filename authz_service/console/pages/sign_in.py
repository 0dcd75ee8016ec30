"""Signing in and out, a password of one's own, and the language."""

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, Response

from authz_service.api.rates import sender_at
from authz_service.clock import monotonic_seconds
from authz_service.console.sessions import begin, end, failed, try_name
from authz_service.console.visit import VISITOR_COOKIE, Here, Page, Visit, set_language
from authz_service.console.words import LANGUAGES
from authz_service.passwords import LONGEST, PasswordRefused
from authz_service.people import SIGN_IN, Ordered, set_password
from authz_service.vocabulary import ProgrammeId

router = APIRouter(route_class=Page)


@router.get("/sign-in")
async def sign_in_page(visit: Here) -> Response:
    """Whoever has no token yet gets one, to which the form is bound."""
    if visit.someone is not None:
        return visit.redirect("/")
    return _form(visit)


@router.post("/sign-in")
async def sign_in(visit: Here) -> Response:
    """A new token for whoever gives the right password; one sentence for everybody else, after the same work."""
    desk, form, until = visit.desk, visit.form, monotonic_seconds() + visit.desk.settings.console_wrong_seconds
    client = visit.request.client
    sender = sender_at(client.host if client else "")
    if desk.addresses.wait_seconds(sender, monotonic_seconds()) > 0:
        return _form(visit, HTTPStatus.TOO_MANY_REQUESTS, "sign_in.too_often")
    programmes = desk.registry.programmes
    chosen = ProgrammeId(form.get("programme", programmes[0] if programmes else ""))
    name, tried = form.get("name", "").lower(), None
    if SIGN_IN.fullmatch(name):
        async with visit.lent() as connection:
            visit.now = desk.clock.at(await connection.fetchval("SELECT clock_timestamp()"))
            tried = await try_name(connection, desk.settings, chosen, name, visit.now)
    is_right = await desk.passwords.is_right(
        form.get("password", ""), tried.password_hash if tried is not None else None
    )
    token = visit.new_token()
    is_outdated = tried is not None and is_right and desk.passwords.is_outdated(tried.password_hash)
    fresh = await desk.passwords.hash(form["password"]) if is_outdated else None
    if tried is not None:
        async with visit.lent() as connection:
            if is_right and await begin(connection, desk.keys, desk.settings, tried, token, visit.where, fresh):
                return visit.with_token(visit.redirect("/"), token)
            await failed(connection, tried, visit.where)
    await asyncio.sleep(until - monotonic_seconds())
    return _form(visit, HTTPStatus.UNAUTHORIZED, "sign_in.wrong")


@router.post("/sign-out")
async def sign_out(visit: Here) -> Response:
    """The session is over, here and for whoever may have its token."""
    async with visit.lent() as connection:
        await end(connection, visit.desk.keys, visit.person, visit.token, visit.where)
    return visit.with_token(visit.redirect("/sign-in", "signed_out"), visit.new_token())


@router.get("/password")
async def password_page(visit: Here) -> Response:
    """A form for another password."""
    return _password_form(visit)


@router.post("/password")
async def password(visit: Here) -> Response:
    """The password is another one, and every session of the person is over: one signs in with the new one."""
    desk, person, form = visit.desk, visit.person, visit.form
    new = form.get("new", "")
    if new != form.get("again"):
        return _password_form(visit, "password.differs")
    try:
        desk.passwords.require_good(new, person.sign_in)
    except PasswordRefused:
        return _password_form(visit, "password.weak")
    async with visit.lent() as connection:
        tried = await try_name(connection, desk.settings, person.programme_id, person.sign_in, visit.now)
    present = form.get("present", "")
    if tried is None or not await desk.passwords.is_right(present, tried.password_hash):
        if tried is not None:
            async with visit.lent() as connection:
                await failed(connection, tried, visit.where)
        return _password_form(visit, "password.wrong")
    if new == present:
        return _password_form(visit, "password.weak")
    password_hash = await desk.passwords.hash(new)
    ordered = Ordered(programme_id=person.programme_id, actor=person.sign_in, now=visit.now, chance=desk.chance)
    async with visit.lent() as connection:
        await set_password(connection, person.sign_in, password_hash, ordered, is_for_once=False)
    return visit.with_token(visit.redirect("/sign-in", "password_changed"), visit.new_token())


@router.post("/language")
async def language(visit: Here) -> Response:
    """Back to the page, in the other language. A page that was asked for by a form begins anew."""
    chosen, back = visit.form.get("language", ""), visit.form.get("back", "/")
    is_ours = back.startswith("/") and not back.startswith("//") and back.isprintable() and "\\" not in back
    response = visit.redirect(back if is_ours else "/")
    set_language(response, chosen if chosen in LANGUAGES else LANGUAGES[0], visit)
    return response


def _form(visit: Visit, status: int = HTTPStatus.OK, wrong: str | None = None) -> Response:
    visit.visitor = visit.visitor or visit.new_token()
    programmes = [(each, visit.desk.registry.reference(each).programme.name) for each in visit.desk.registry.programmes]
    page = visit.page(
        "sign_in.html", status, programmes=programmes, name=visit.form.get("name", ""), wrong=wrong,
        chosen=visit.form.get("programme"),
    )  # fmt: skip
    return visit.with_token(page, visit.visitor, VISITOR_COOKIE)


def _password_form(visit: Visit, wrong: str | None = None) -> Response:
    status = HTTPStatus.OK if wrong is None else HTTPStatus.UNPROCESSABLE_ENTITY
    letters = visit.desk.settings.password_letters
    return visit.page("password.html", status, wrong=wrong, letters=letters, longest=LONGEST)
