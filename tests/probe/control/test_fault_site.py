"""The function that a name stands for, wherever the program holds it, is changed and restored."""

from __future__ import annotations

import functools
import gc
import itertools
import pickle
import sys
from collections.abc import Callable, Iterator
from textwrap import dedent
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from harness.probe.control import fault_site
from harness.probe.control.faulty_code import FaultyCodes
from harness.probe.control.module_lookup import ModuleNotLoadedError

SHOP = """
    import contextlib, functools, dataclasses

    class Route:  # as Litestar's: the name of a handler leads to an object that holds it
        __slots__ = ("path", "fn")

        def __init__(self, path, fn):
            self.path, self.fn = path, fn

    routes = {}

    def get(path):
        def register(handler):
            routes[path] = handler
            return handler
        return register

    def routed(path):
        return lambda handler: Route(path, handler)

    def bare(handler):
        def wrapper(*args):
            return handler(*args)
        return wrapper

    def wrapping(handler):
        @functools.wraps(handler)
        def wrapper(*args):
            return handler(*args)
        return wrapper

    def last(values):
        return values[-1]

    @get("/plain")
    def plain(): return "plain"

    @routed("/slotted")
    def slotted(): return "slotted"

    @bare
    def one(): return "one"

    @bare
    def other(): return "other"

    @wrapping
    @wrapping
    @get("/twice")
    def twice(): return "twice"

    @functools.lru_cache
    def cached(n): return n

    def _halves(n, by): return n // by

    halves = functools.partial(_halves, by=2)
    short = lambda: "short"
    alias = plain

    @contextlib.contextmanager
    def context(): yield "context"

    class Base:
        def name(self): return "base"

        @classmethod
        def kind(cls): return cls.__name__

        @staticmethod
        def number(): return 1

        @property
        def title(self): return "title"

        @functools.cached_property
        def once(self): return "once"

    class Child(Base): pass

    class Sibling(Base): pass

    child = Child()
    bound = child.name

    @dataclasses.dataclass(frozen=True)
    class Order:
        n: int = 0

    class App:
        def __call__(self): return "app"

    app, other_app = App(), App()

    def create():
        greeting = "hello"

        def handler(): return greeting

        class View:
            def get(self): return greeting

        def sibling(): return greeting

        return handler, View, sibling

    early = create()

    @get("/first")
    def _(): return "first"
    first = _

    @get("/second")
    def _(): return "second"

    @get("/lost")
    def lost(): return "lost"
    del lost
"""


class Hits:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture(autouse=True, scope="module")
def only_what_is_made_here() -> Iterator[None]:
    """Objects of the test runner itself need not be searched: there are hundreds of thousands."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def shop() -> Iterator[Any]:
    """The module, loaded as a program loads it."""
    module = ModuleType("shop_of_test")
    sys.modules[module.__name__] = module
    exec(compile(dedent(SHOP), "shop_of_test.py", "exec"), vars(module))
    yield module
    del sys.modules[module.__name__]


def codes_of(module: ModuleType) -> dict[int, CodeType]:
    return {
        id(one): one.__code__
        for one in gc.get_objects()
        if isinstance(one, FunctionType) and one.__globals__ is vars(module)
    }


HIT: list[tuple[str, Callable[[Any], object], Callable[[Any], object]]] = [
    # the place, a call that is hit, and one that is not
    ("plain", lambda m: m.routes["/plain"](), lambda m: m.routes["/twice"]()),
    ("plain", lambda m: functools.partial(m.alias)(), lambda m: m.short()),
    ("alias", lambda m: m.routes["/plain"](), lambda m: m.short()),
    ("slotted", lambda m: m.slotted.fn(), lambda m: m.plain()),
    ("one", lambda m: m.one(), lambda m: m.other()),
    ("twice", lambda m: m.routes["/twice"](), lambda m: m.plain()),
    ("twice", lambda m: m.twice(), lambda m: m.plain()),
    ("cached", lambda m: m.cached(object()), lambda m: m.plain()),
    ("halves", lambda m: m.halves(4), lambda m: m.plain()),
    ("short", lambda m: m.short(), lambda m: m.plain()),
    ("context", lambda m: m.context().__enter__(), lambda m: m.context()),
    ("Base.name", lambda m: m.bound(), lambda m: m.child.kind()),
    ("Base.title", lambda m: m.child.title, lambda m: m.child.name()),
    ("Base.once", lambda m: m.Child().once, lambda m: m.child.name()),
    ("Base.number", lambda m: m.child.number(), lambda m: m.child.name()),
    ("Child.name", lambda m: m.bound(), lambda m: m.Sibling().name()),
    ("Child.name", lambda m: m.Base.name(m.child), lambda m: m.Base().name()),
    ("Child.kind", lambda m: m.Child.kind(), lambda m: m.Sibling.kind()),
    ("bound", lambda m: m.child.name(), lambda m: m.Child().name()),
    ("child.name", lambda m: m.bound(), lambda m: m.Child().name()),
    ("Order.__init__", lambda m: m.Order(1), lambda m: hash(m.Order)),
    ("Order.__eq__", lambda m: m.Order(1) == m.Order(1), lambda m: m.Order(1)),
    ("app", lambda m: m.app(), lambda m: m.other_app()),
    ("App.__call__", lambda m: m.other_app(), lambda m: m.plain()),
    ("create.<locals>.handler", lambda m: m.early[0](), lambda m: m.early[2]()),
    ("create.handler", lambda m: m.create()[0](), lambda m: m.create()[2]()),
    ("create.<locals>.View.get", lambda m: m.create()[1]().get(), lambda m: m.create()[0]()),
    ("create.View.get", lambda m: m.early[1]().get(), lambda m: m.early[0]()),
    ("_", lambda m: m.routes["/second"](), lambda m: m.routes["/first"]()),
    ("lost", lambda m: m.routes["/lost"](), lambda m: m.routes["/first"]()),
]


@pytest.mark.parametrize(
    ("path", "hit", "miss"), HIT, ids=[f"{number}-{case[0]}" for number, case in enumerate(HIT)]
)
def test_a_function_is_hit_wherever_it_is_held(
    shop: Any, path: str, hit: Callable[[Any], object], miss: Callable[[Any], object]
) -> None:
    """Each call is hit once, others are not, and afterwards every function has its own code again."""
    codes, hits, before = FaultyCodes(), Hits(), codes_of(shop)
    miss(shop)

    undo = [codes.plant(site, hits) for site in fault_site.find(f"shop_of_test:{path}")]
    miss(shop)
    assert hits.count == 0
    hit(shop)
    assert hits.count == 1
    for each in undo:
        each()

    hit(shop)
    assert hits.count == 1
    after = codes_of(shop)
    assert all(after[one] is code for one, code in before.items() if one in after)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_faults_in_one_function_are_healed_in_any_order(shop: Any, order: tuple[int, ...]) -> None:
    """Two in a function, one in a function inside it, one in that one's sibling: what is left acts on."""
    codes, before = FaultyCodes(), codes_of(shop)
    paths = ("create", "create", "create.handler", "create.sibling")
    hits = [Hits() for _ in paths]
    undo = [
        codes.plant(fault_site.find(f"shop_of_test:{path}")[0], hit)
        for path, hit in zip(paths, hits, strict=True)
    ]
    made = []

    for count, number in enumerate(order):
        handler, _, sibling = shop.create()
        made += [handler, sibling]
        handler()
        sibling()
        undo[number]()
        assert [hit.count for hit in hits] == [
            count + 1 if order.index(which) >= count else order.index(which) + 1
            for which in range(len(paths))
        ]

    shop.create()[0]()
    assert {one: before[one] for one in before} == {one: codes_of(shop)[one] for one in before}
    assert all(codes_of(shop)[one] is code for one, code in before.items())
    own = {shop.early[0].__code__, shop.early[2].__code__}
    assert all(any(function.__code__ is code for code in own) for function in made)


def test_code_that_others_put_there_since_stays(shop: Any) -> None:
    """A function that was replaced, or given other code, while the fault was in force is left alone."""
    codes, hits = FaultyCodes(), Hits()
    (site,) = fault_site.find("shop_of_test:plain")
    undo, plain = codes.plant(site, hits), shop.plain
    shop.plain = lambda: "replaced"
    plain.__code__ = (theirs := plain.__code__.replace(co_name="theirs"))

    undo()

    assert shop.plain() == "replaced"
    assert plain.__code__ is theirs
    assert (plain(), hits.count) == ("plain", 0)


def test_a_copy_of_a_function_is_hit_as_well(shop: Any) -> None:
    """As made by tools that build a function anew from its code."""
    codes, hits = FaultyCodes(), Hits()
    copy = FunctionType(shop.plain.__code__, vars(shop))
    own = copy.__code__

    undo = codes.plant(fault_site.find("shop_of_test:plain")[0], hits)
    copy()
    undo()

    assert hits.count == 1
    assert copy.__code__ is own


def test_a_call_that_runs_goes_on_with_the_old_code(shop: Any) -> None:
    """A generator that began before the fault is not hit by it, nor broken by its end."""
    codes, hits = FaultyCodes(), Hits()
    before = shop.context()
    assert before.__enter__() == "context"

    undo = codes.plant(fault_site.find("shop_of_test:context")[0], hits)
    during = shop.context()
    during.__enter__()
    undo()

    assert hits.count == 1
    assert not before.__exit__(None, None, None)
    assert not during.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("shop_of_test:nothing", "shop_of_test has no nothing"),
        ("shop_of_test:Base.nothing", "shop_of_test has no Base.nothing"),
        ("shop_of_test:create.<locals>.nothing", "shop_of_test has no create.nothing"),
        ("shop_of_test:Base", "a class, not a Python function; name one of its methods"),
        ("shop_of_test:routes", "a dict, not a Python function"),
        ("shop_of_test:Child.number", "inherited"),
        ("time:sleep", "a builtin_function_or_method, not a Python function"),
        ("nowhere_at_all:f", "the program has no module nowhere_at_all"),
        ("nowhere.at.all:f", "the program has no module nowhere.at.all"),
        ("tabnanny:check", "the program has not imported tabnanny"),
        ("wsgiref.no_such:f", "the program has no module wsgiref.no_such"),
    ],
)
def test_what_cannot_be_hit_is_refused(shop: Any, place: str, why: str) -> None:
    """With the reason; nothing is imported to find out."""
    before = set(sys.modules)

    with pytest.raises((LookupError, TypeError)) as caught:
        fault_site.find(place)

    assert why in str(caught.value)
    assert set(sys.modules) == before
    assert isinstance(caught.value, ModuleNotLoadedError) == ("module" in why or "imported" in why)


def test_a_module_that_is_not_registered_is_found_by_its_functions(shop: Any) -> None:
    """As `runpy.run_module` and loaders of plug-ins leave it."""
    space: dict[str, Any] = {"__name__": "plugin_of_test"}
    exec("def act(): return 1", space)
    codes, hits = FaultyCodes(), Hits()

    undo = codes.plant(fault_site.find("plugin_of_test:act")[0], hits)
    space["act"]()
    undo()

    assert hits.count == 1


def test_a_program_may_pickle_a_function_by_value(shop: Any) -> None:
    """What stands in the code is nothing of the harness where it is loaded."""
    codes = FaultyCodes()
    undo = codes.plant(fault_site.find("shop_of_test:plain")[0], Hits())
    (hook,) = [one for one in shop.plain.__code__.co_consts if callable(one)]
    undo()

    assert b"harness" not in (sent := pickle.dumps(hook))
    assert not pickle.loads(sent)()
