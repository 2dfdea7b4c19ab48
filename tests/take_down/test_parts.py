"""What is removed and what stays, decided from what is there."""

from hypothesis import given
from hypothesis import strategies as st

from ai_toolkit.azure.neighbours import StorageDefinition, Tenant
from ai_toolkit.take_down.parts import Found, Kind, Part, decide

GROUP = "/subscriptions/s/resourceGroups/g"
APP = Part(Kind.APP, "app", f"{GROUP}/providers/Microsoft.App/containerApps/app")
ENVIRONMENT = Part(Kind.ENVIRONMENT, "env", f"{GROUP}/providers/Microsoft.App/managedEnvironments/env")
DEFINITION = Part(Kind.DEFINITION, "def", f"{ENVIRONMENT.id}/storages/def")
LOGS = Part(Kind.LOGS, "logs", f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/logs")
ACCOUNT = Part(Kind.ACCOUNT, "account", f"{GROUP}/providers/Microsoft.Storage/storageAccounts/account")
SHARE = Part(Kind.SHARE, "share", f"{ACCOUNT.id}/fileServices/default/shares/share")
WHOLE_GROUP = Part(Kind.GROUP, "g", "g")
ALL = (APP, DEFINITION, ENVIRONMENT, LOGS, SHARE, ACCOUNT, WHOLE_GROUP)
FIELDS = ("app", "definition", "environment", "logs", "share", "account", "group")
OWN_TENANT = Tenant("container app", "app", APP.id.lower(), ENVIRONMENT.id.lower(), frozenset({"def"}))
OWN_DEFINITION = StorageDefinition(ENVIRONMENT.id.lower(), "def", "account", "share")


def found(there=ALL, ours=ALL, **changes):
    """What is there of the parts, and which of them a Provision made."""
    facts = {field: part for field, part in zip(FIELDS, ALL, strict=True) if part in there}
    defaults = {
        "ours": frozenset(one.id.lower() for one in ours),
        "tenants": (OWN_TENANT,) if APP in there else (),
        "definitions": (OWN_DEFINITION,) if DEFINITION in there else (),
        "in_account": ("file share share",) if SHARE in there else (),
        "loggers": (ENVIRONMENT.id.lower(),) if ENVIRONMENT in there else (),
    }
    return Found(**{**facts, **defaults, **changes})


def kinds(plan):
    return [one.kind for one in plan.removes]


def stays(plan):
    return {one.what: one.why for one in plan.stays}


JOB = Tenant("job", "training", f"{GROUP}/x/training", ENVIRONMENT.id.lower(), frozenset())


def test_all_that_a_provision_made_goes_but_the_models():
    """The share, and the account that it is in, stay; with its name typed they go too, and the group is empty then."""
    without, with_models = decide(found(), models=False), decide(found(), models=True)

    assert kinds(without) == [Kind.APP, Kind.ENVIRONMENT, Kind.LOGS]
    assert "aitk down --models share" in stays(without)["file share share"]
    assert stays(without)["storage account account"] == "it holds the file share share"
    assert kinds(with_models) == [Kind.APP, Kind.ENVIRONMENT, Kind.LOGS, Kind.SHARE, Kind.ACCOUNT, Kind.GROUP]
    assert with_models.stays == ()


def test_what_was_there_before_stays():
    """Fine-tuning's environment and account, with the definition that a Provision put into the first."""
    plan = decide(found(ours=(APP, DEFINITION)), models=True)

    assert kinds(plan) == [Kind.APP, Kind.DEFINITION]
    assert "there before" in stays(plan)["environment env"]
    assert "there before" in stays(plan)["resource group g"]


def test_a_job_or_an_app_in_the_environment_keeps_it():
    """Named, with all that it needs: the logs; and the definition where it mounts it."""
    plan = decide(found(tenants=(OWN_TENANT, JOB)), models=True)
    mounts = Tenant("job", "training", JOB.id, JOB.environment, frozenset({"def"}))
    mounted = decide(found(tenants=(OWN_TENANT, mounts)), models=True)

    assert stays(plan)["environment env"] == "job training lives in it"
    assert stays(plan)["log workspace logs"] == "the environment env writes its logs there"
    assert Kind.DEFINITION in kinds(plan)
    assert Kind.SHARE in kinds(plan)
    assert stays(mounted)["storage definition def"] == "job training mounts it"
    assert "mounts it" in stays(mounted)["file share share"]


def test_what_somebody_put_into_the_environment_keeps_it():
    """A certificate, another storage definition."""
    other = StorageDefinition(ENVIRONMENT.id.lower(), "theirs", "account", "another")

    assert "certificate" in stays(decide(found(in_environment=("certificate mine",)), models=True))["environment env"]
    assert "theirs" in stays(decide(found(definitions=(OWN_DEFINITION, other)), models=True))["environment env"]


def test_another_share_keeps_the_account():
    """It is named."""
    plan = decide(found(in_account=("file share share", "file share theirs", "queue q")), models=True)

    assert Kind.SHARE in kinds(plan)
    assert stays(plan)["storage account account"] == "it holds the file share theirs, queue q"


def test_another_environment_that_mounts_the_share_keeps_it():
    """The person who trains there needs it."""
    theirs = StorageDefinition(f"{GROUP}/other".lower(), "theirs", "account", "share")
    plan = decide(found(definitions=(OWN_DEFINITION, theirs)), models=True)

    assert "theirs of the environment other" in stays(plan)["file share share"]
    assert Kind.ENVIRONMENT in kinds(plan)


def test_a_resource_beside_ours_keeps_the_group():
    """A group goes with all that is in it."""
    plan = decide(found(others=("vaults kv",)), models=True)

    assert stays(plan)["resource group g"] == "it holds the vaults kv"


def test_what_azure_does_not_tell_counts_as_used():
    """A reader's rights may not be enough to see the neighbours."""
    for field in ("tenants", "definitions", "in_environment", "in_account", "loggers", "log_readers"):
        plan = decide(found(**{field: None}), models=True)

        assert any("Azure does not say" in why for why in stays(plan).values()), field
        assert Kind.GROUP not in kinds(plan)


def test_what_else_keeps_data_in_the_log_workspace_keeps_it():
    """Application Insights, a solution."""
    plan = decide(found(log_readers=("Application Insights web",)), models=True)

    assert stays(plan)["log workspace logs"] == "the Application Insights web keeps its data there"
    assert Kind.ENVIRONMENT in kinds(plan)


LOCKABLE = (APP, ENVIRONMENT, LOGS, SHARE, ACCOUNT)


@given(st.sets(st.sampled_from([*LOCKABLE, "group", "within"])))
def test_what_is_locked_stays_with_what_it_is_in(locked):
    """A lock on a part, on the whole group, or on something inside: nothing that would be refused is begun."""
    ids = {"group": GROUP, "within": f"{ENVIRONMENT.id}/storages/def"}
    scopes = tuple((ids[one] if isinstance(one, str) else one.id).lower() for one in locked)
    removed = set(decide(found(locks=scopes), models=True).removes)

    assert not removed & locked
    assert not (locked and WHOLE_GROUP in removed)
    assert not ("group" in locked and removed)
    assert not ("within" in locked and ENVIRONMENT in removed)
    assert not (APP in locked and ENVIRONMENT in removed)
    assert not (SHARE in locked and ACCOUNT in removed)
    assert locked or removed == {*ALL} - {DEFINITION}


PARTS = st.sets(st.sampled_from(ALL))


@given(PARTS, PARTS, st.booleans(), st.lists(st.sampled_from(["job", "certificate", "share", "other"]), max_size=3))
def test_only_ours_goes_and_nothing_that_somebody_uses(there, ours, models, theirs):
    """Whatever is there of a Provision that was cut off, and whatever a person put beside it."""
    there = {one for one in there if one is not DEFINITION or ENVIRONMENT in there}
    there = {one for one in there if one is not SHARE or ACCOUNT in there} | {WHOLE_GROUP}
    facts = found(
        there,
        ours,
        tenants=((OWN_TENANT,) if APP in there else ()) + ((JOB,) if "job" in theirs else ()),
        in_environment=("certificate c",) if "certificate" in theirs else (),
        in_account=(("file share share",) if SHARE in there else ())
        + (("file share theirs",) if "share" in theirs else ()),
        others=("vaults kv",) if "other" in theirs else (),
    )
    plan = decide(facts, models=models)
    removed = set(plan.removes)

    assert removed <= there & set(ours)
    assert {one.what for one in plan.stays} == {one.in_words() for one in there - removed - _inside(removed)}
    assert SHARE not in removed or models
    assert not (ENVIRONMENT in removed and {"job", "certificate"} & set(theirs))
    assert not (ACCOUNT in removed and ("share" in theirs or (SHARE in there and SHARE not in removed)))
    assert not (WHOLE_GROUP in removed and (there - {WHOLE_GROUP, DEFINITION} - removed or "other" in theirs))
    assert list(plan.removes) == sorted(plan.removes, key=lambda one: list(Kind).index(one.kind))


def _inside(removed):
    """The environment takes its definition with it."""
    return {DEFINITION} if ENVIRONMENT in removed else set()


@given(PARTS, st.booleans())
def test_in_any_order_of_cuts_the_rest_goes_the_next_time(removed_before, models):
    """Cut after any of its steps, the next run removes what is left and nothing else."""
    whole = decide(found(), models=models).removes
    left = tuple(one for one in ALL if one not in removed_before)
    rest = decide(found(left).without(frozenset(one.id.lower() for one in removed_before)), models=models).removes

    assert [one for one in rest if one in whole] == [
        one for one in whole if one in left and not (SHARE in left and not models and one in {ACCOUNT, WHOLE_GROUP})
    ]


@given(st.integers(0, 7))
def test_cut_off_after_any_step_it_converges(steps):
    """Removing the first, looking again, removing the first of what is left: the same parts in the same order."""
    whole = list(decide(found(), models=True).removes)
    gone = whole[:steps]
    after = decide(found().without(frozenset(one.id.lower() for one in gone)), models=True)

    assert list(after.removes) == [*whole[steps:]]
