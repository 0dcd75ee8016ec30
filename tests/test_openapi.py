"""The OpenAPI document is whole, true to the models, and describes exactly what the terminals' door serves."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, TypeAdapter

from authz_service import requests
from authz_service.api import arrival, backoffice, filters, office_wire, pos, wire, wire_explanation
from authz_service.api.documentation import DUTIES, KEY_PATTERN, StubIsReached, documented
from authz_service.api.office import Office
from authz_service.api.office_documentation import BODIES
from authz_service.declines import DeclineReason
from authz_service.problems import Problem

METHODS = {"get", "post", "put", "patch", "delete"}
ANSWERS = vars(wire) | vars(office_wire) | vars(wire_explanation)
POS_CALLS = {call.name: call for call in vars(pos).values() if isinstance(call, pos.Call)}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    built = FastAPIOffline(title="Authorisation", description="For tills.")
    built.include_router(backoffice.router)
    documented(built)
    nothing: Any = None
    built.state.office = Office(
        settings=nothing,
        keys=nothing,
        registry=nothing,
        pool=nothing,
        clock=nothing,
        chance=nothing,
        new_request_id=lambda _: "req_1",
        security=nothing,
        inbox_has_news=nothing,
        bank_addresses=nothing,
        bank_partners=nothing,
    )
    return built


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & set(item):
            yield method.upper(), path, item[method]


def members(value: Any) -> Iterator[tuple[str, Any]]:
    """Every member of every object below `value`."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield name, each
            yield from members(each)
    elif isinstance(value, list):
        for each in value:
            yield from members(each)


def schema_name(media: dict[str, Any]) -> str:
    return str(media["schema"]["$ref"]).rpartition("/")[2]


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    references = [each for name, each in members(document) if name == "$ref"]
    assert references
    for reference in references:
        found = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def test_each_operation_has_an_id_a_summary_a_tag_and_the_keys_that_it_takes(document: dict[str, Any]) -> None:
    ids = []
    for method, path, operation in operations(document):
        ids.append(operation["operationId"])
        assert operation["summary"]
        assert operation["description"]
        keys = {name for each in operation["security"] for name in each}
        if (method, path) in of_the_office():
            assert operation["tags"] == ["companions and operators"]
            assert keys == takes(method, path)
        else:
            assert operation["tags"] == ["terminals"]
            assert keys == {"terminal_key"}
        assert all(told["description"] for told in operation["responses"].values())
    assert len(set(ids)) == len(ids)
    schemes = document["components"]["securitySchemes"]
    assert {name: scheme["scheme"] for name, scheme in schemes.items()} == {
        "terminal_key": "bearer",
        "companion_key": "bearer",
        "operator_key": "bearer",
    }


def of_the_office() -> dict[tuple[str, str], Any]:
    """Method and path → route, of each call of companions and operators."""
    return {(method, route.path): route for route in backoffice.router.routes for method in route.methods}  # type: ignore[attr-defined]


def takes(method: str, path: str) -> set[str]:
    """Which keys the route lets through, by what it asks of its caller."""
    asked = {
        each.call.__name__ for each in of_the_office()[method, path].dependant.dependencies if each.name == "caller"
    }
    return {
        "_companion": {"companion_key"},
        "_operator": {"operator_key"},
        "_anyone": {"companion_key", "operator_key"},
    }[asked.pop()]


def test_each_name_in_a_path_is_a_parameter(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        declared = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
        assert set(re.findall(r"{(.+?)}", path)) == declared


def test_the_second_reading_of_the_document_is_the_first(app: FastAPI) -> None:
    assert orjson.dumps(app.openapi()) == orjson.dumps(app.openapi())


def test_every_example_is_valid_for_the_model_it_stands_under(document: dict[str, Any]) -> None:
    checked = 0
    for _, _, operation in operations(document):
        bodies = [(ANSWERS, told) for told in operation["responses"].values() if "content" in told]
        if "requestBody" in operation:
            bodies.append((vars(requests), operation["requestBody"]))
        for models, told in bodies:
            for media in told["content"].values():
                model = TypeAdapter(models[schema_name(media)])
                assert media["examples"]
                for example in media["examples"].values():
                    model.validate_json(orjson.dumps(example["value"]))
                    checked += 1
    assert checked > len(DeclineReason)


def test_whatever_fails_is_a_problem_and_frameworks_own_422_is_nowhere(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for _, _, operation in operations(document):
        for status, told in operation["responses"].items():
            if status >= "400":
                assert list(told["content"]) == ["application/problem+json"]
                assert schema_name(told["content"]["application/problem+json"]) == "ProblemDocument"
            elif "content" in told:
                assert list(told["content"]) == ["application/json"]


# --- the document and the door --------------------------------------------------------------------------------------


def served() -> set[tuple[str, str]]:
    """Method and path of each case of `PosDoor._route` that names a method; `{}` stands for an id."""
    (routes,) = [
        node
        for node in ast.walk(ast.parse(dedent(inspect.getsource(pos.PosDoor._route))))
        if isinstance(node, ast.Match)
    ]
    found = set()
    for case in routes.cases:
        match case.pattern:
            case ast.MatchSequence(
                patterns=[ast.MatchValue(value=ast.Constant(value=str(method))), ast.MatchSequence(patterns=parts)]
            ):
                paths = [""]
                for part in parts:
                    paths = [f"{path}/{step}" for path in paths for step in steps(part)]
                found |= {(method, "/v1" + path) for path in paths}
    return found


def steps(part: ast.pattern) -> list[str]:
    match part:
        case ast.MatchValue(value=ast.Constant(value=str(name))):
            return [name]
        case ast.MatchAs(name="call"):
            return list(pos.LATER_CALLS)
        case ast.MatchAs(name=str()):
            return ["{}"]
        case _:
            raise AssertionError(ast.unparse(part))


def test_what_the_door_serves_is_documented_and_the_other_way_round(document: dict[str, Any]) -> None:
    described = {(method, path) for method, path, _ in operations(document)}
    assert of_the_office().keys() <= described
    at_the_counter = {(method, re.sub(r"{.+?}", "{}", path)) for method, path in described - of_the_office().keys()}
    assert served() == at_the_counter


async def test_each_documented_call_is_asked_for_its_key_by_the_door(app: FastAPI, document: dict[str, Any]) -> None:
    door = a_door(app)
    for method, path, _ in operations(document):
        status, _, _ = await called(door, method, re.sub(r"{.+?}", "auth_1", path))
        assert status == 401, (method, path)


def test_key_and_body_are_required_where_the_door_requires_them(document: dict[str, Any]) -> None:
    by_id = {operation["operationId"]: operation for _, _, operation in operations(document)}
    assert set(POS_CALLS) | set(BODIES) == {name for name, operation in by_id.items() if "requestBody" in operation}
    for name, call in POS_CALLS.items():
        keys = [each for each in by_id[name].get("parameters", []) if each["name"] == "Idempotency-Key"]
        assert [key["required"] for key in keys] == ([True] if call.keyed else [])
        body = by_id[name]["requestBody"]
        assert body.get("required", False) is not call.body_is_optional
        assert schema_name(body["content"]["application/json"]) == call.adapter._type.__name__
    for name, (kind, required) in BODIES.items():
        keys = [each for each in by_id[name]["parameters"] if each["name"] == "Idempotency-Key"]
        assert [(key["required"], key["schema"]["pattern"]) for key in keys] == [(True, KEY_PATTERN)]
        assert by_id[name]["requestBody"].get("required", False) is required
        assert schema_name(by_id[name]["requestBody"]["content"]["application/json"]) == kind.__name__
    takes_a_dry_run = {
        name for name, each in by_id.items() if "dry_run" in {given["name"] for given in each.get("parameters", [])}
    }
    assert takes_a_dry_run == {pos.AUTHORISE.name}


@pytest.mark.parametrize(
    "key",
    [
        "a",
        "0b9c6c0e-9a5b",
        '"a"',
        '"',
        '""',
        '"a',
        'a"',
        "a b",
        "a" * 64,
        "a" * 65,
        '"%s"' % ("a" * 64),
        "é",
        "~!",
        'a"b',
    ],
)
def test_the_documented_pattern_of_a_key_lets_pass_what_the_door_lets_pass(key: str) -> None:
    head = arrival.head_of(
        {
            "method": "POST",
            "path": "/v1/authorizations",
            "query_string": b"",
            "headers": [(b"idempotency-key", key.encode())],
        },
        lambda _: "req_1",
    )
    try:
        let_pass = bool(arrival.idempotency_key(head))
    except Problem:
        let_pass = False
    assert bool(re.fullmatch(KEY_PATTERN, key)) is let_pass


def test_each_posted_call_of_the_office_reads_the_body_that_is_documented() -> None:
    posted = {route.operation_id for (method, _), route in of_the_office().items() if method == "POST"}
    assert posted == set(BODIES)
    adapters: dict[str, TypeAdapter[Any]] = {"vouch": backoffice.NEW_VOUCHER, "revoke_voucher": backoffice.REVOCATION}
    adapters |= {"approve_voucher": backoffice.APPROVAL}
    for name, adapter in adapters.items():
        assert adapter._type is BODIES[name][0]


def test_each_filter_of_a_list_is_a_parameter_with_its_values(document: dict[str, Any]) -> None:
    by_id = {operation["operationId"]: operation for _, _, operation in operations(document)}
    lists: dict[str, type[BaseModel]] = {
        "list_vouchers": filters.VoucherFilters,
        "list_beneficiaries": filters.FamilyFilters,
        "list_authorisations": filters.AuthorisationFilters,
    }
    assert set(lists) == {name for name in by_id if name.startswith("list_")}
    for name, model in lists.items():
        declared = {each["name"] for each in by_id[name]["parameters"] if each["in"] == "query"}
        assert declared == set(model.model_fields)
        assert {"limit", "after"} <= declared


async def test_a_stub_that_is_reached_raises_whatever_was_sent(app: FastAPI) -> None:
    with pytest.raises(StubIsReached):
        await called(app, "POST", "/v1/authorizations", b"not json")


async def test_the_page_loads_nothing_from_elsewhere(app: FastAPI) -> None:
    status, _, page = await called(app, "GET", "/docs")
    assert status == 200
    assert not re.findall(rb'(?:src|href)="(?:https?:)?//', page)


# --- what a request may be ------------------------------------------------------------------------------------------


def test_a_purchase_is_described_as_the_door_reads_it(document: dict[str, Any]) -> None:
    purchase, line = (document["components"]["schemas"][name] for name in ("Purchase", "Line"))
    assert purchase["required"] == ["card_number", "stan", "terminal_time", "amount", "currency", "lines"]
    assert line["required"] == ["category", "amount"]
    assert purchase["additionalProperties"] is line["additionalProperties"] is False
    assert (purchase["properties"]["lines"]["minItems"], purchase["properties"]["lines"]["maxItems"]) == (1, 50)
    assert purchase["properties"]["amount"]["type"] == line["properties"]["amount"]["type"] == "integer"
    quantity = line["properties"]["quantity"]["anyOf"][0]
    assert quantity == {"type": "string", "pattern": requests.QUANTITY_PATTERN}


def test_the_half_page_of_duties_is_the_same_in_the_docs_and_in_the_description(document: dict[str, Any]) -> None:
    assert document["info"]["description"].startswith("For tills.")
    assert DUTIES in document["info"]["description"]
    page = Path(__file__).parent.parent / "docs" / "terminal-duties.md"
    assert page.read_text(encoding="utf-8") == f"# Duties of a terminal\n\n{DUTIES}"


# --- hands ----------------------------------------------------------------------------------------------------------


def a_door(inner: Any) -> pos.PosDoor:
    """The terminals' door with nothing behind it; good for requests that are refused at once."""
    nothing: Any = None
    return pos.PosDoor(
        inner=inner,
        settings=nothing,
        keys=nothing,
        registry=nothing,
        room=nothing,
        pool=nothing,
        clock=nothing,
        new_request_id=lambda _: "req_1",
    )


async def called(app: Any, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body that an ASGI callable answers."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(each.get("body", b"") for each in sent[1:])
