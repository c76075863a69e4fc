"""deploy/aws/carewright.yaml: cfn-lint accepts it, and it keeps our own rules. Nothing is created in any cloud."""

import subprocess
import sys
from pathlib import Path

import pytest
import redis
import yaml
from cfnlint.decode import cfn_yaml
from kombu import Connection

from scripts.tests.test_deployment import names_of_environment

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "deploy" / "aws" / "carewright.yaml"
PROGRAMS = ("WebTask", "WorkerTask", "BeatTask")
POWERS = {"DATABASE_ADMIN_URL", "DATABASE_OWNER_URL", "DATABASE_BACKUP_URL"}
OF_BOTO = {"AWS_DEFAULT_REGION"}


def lint(path):
    program = Path(sys.executable).with_name("cfn-lint")
    command = [program, "--regions", "us-east-1", "eu-west-1", "sa-east-1", "--", str(path)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def template():
    return cfn_yaml.load(str(TEMPLATE))


@pytest.fixture(scope="module")
def resources(template):
    return template["Resources"]


def of_type(resources, kind):
    return {name: found["Properties"] for name, found in resources.items() if found["Type"] == kind}


def container(resources, task):
    (only,) = resources[task]["Properties"]["ContainerDefinitions"]
    return only


def secrets_of(resources, task):
    named = [entry["Fn::If"][1] if "Fn::If" in entry else entry for entry in container(resources, task)["Secrets"]]
    return {entry["Name"]: entry["ValueFrom"] for entry in named}


# --- It holds --------------------------------------------------------------------------------------------------------


def test_s23_cfn_lint_accepts_the_template():
    done = lint(TEMPLATE)

    assert done.stdout == ""
    assert done.returncode == 0


def test_cfn_lint_would_complain(tmp_path):
    """The negative control: a property nobody knows, and a reference to nothing."""
    broken = tmp_path / "broken.yaml"
    text = TEMPLATE.read_text()
    broken.write_text(text.replace("MultiAZ:", "MultyAZ:").replace("VpcId: !Ref Vpc\n", "VpcId: !Ref Elsewhere\n"))

    done = lint(broken)

    assert done.returncode != 0
    assert "MultyAZ" in done.stdout
    assert "Elsewhere" in done.stdout


def test_tasks_set_only_variables_that_exist(resources):
    known = names_of_environment() | OF_BOTO
    for task in (*PROGRAMS, "OperatorTask"):
        named = {entry["Name"] for entry in container(resources, task)["Environment"]} | set(
            secrets_of(resources, task)
        )
        assert named <= known, named - known
        assert {"SECRET_KEY", "DATABASE_URL", "REDIS_URL"} <= named


def test_no_secret_is_written_down(resources):
    """Passwords are made by Secrets Manager, and reach a task as a secret, never as a plain variable."""
    for task in (*PROGRAMS, "OperatorTask"):
        plain = {entry["Name"] for entry in container(resources, task)["Environment"]}
        assert not {name for name in plain if name.endswith(("_URL", "_KEY", "PASSWORD", "TOKEN"))} - {"PUBLIC_URL"}
    for name, secret in of_type(resources, "AWS::SecretsManager::Secret").items():
        made, written = secret.get("GenerateSecretString"), secret.get("SecretString")
        assert made or "{{resolve:secretsmanager:" in written["Fn::Sub"], name


def test_only_operators_get_more_than_the_app_role(resources):
    assert [task for task in (*PROGRAMS, "OperatorTask") if POWERS & set(secrets_of(resources, task))] == [
        "OperatorTask"
    ]
    starts = {task: resources[task]["Properties"]["ExecutionRoleArn"]["Fn::GetAtt"][0] for task in PROGRAMS}
    assert set(starts.values()) == {"StartRole"}
    read = resources["StartRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]["Resource"]
    assert not {"AdminUrl", "OwnerUrl", "BackupUrl"} & {entry.get("Ref") for entry in read}


def test_roles_name_what_they_may_and_where(resources):
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                assert not [action for action in actions if "*" in action], name
                assert statement["Resource"] != "*", name


def test_everything_at_rest_is_encrypted(resources):
    assert resources["Database"]["Properties"]["StorageEncrypted"] is True
    assert resources["Shared"]["Properties"]["Encrypted"] is True
    cache = resources["Cache"]["Properties"]
    assert cache["AtRestEncryptionEnabled"] is cache["TransitEncryptionEnabled"] is True
    rules = resources["Files"]["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rules[0]["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    for kind in ("AWS::Logs::LogGroup", "AWS::SecretsManager::Secret"):
        assert all("KmsKeyId" in found for found in of_type(resources, kind).values())
    assert resources["DatabaseSettings"]["Properties"]["Parameters"]["rds.force_ssl"] == "1"


def test_only_the_load_balancer_is_open_to_everybody(resources):
    opened = {
        (name, rule["FromPort"])
        for name, group in of_type(resources, "AWS::EC2::SecurityGroup").items()
        for rule in group.get("SecurityGroupIngress", [])
        if rule.get("CidrIp") == "0.0.0.0/0"
    }

    assert opened == {("BalancerGroup", 443), ("BalancerGroup", 80)}
    assert resources["Database"]["Properties"]["PubliclyAccessible"] is False
    assert all(resources["Files"]["Properties"]["PublicAccessBlockConfiguration"].values())


def test_what_can_not_be_made_again_survives_the_stack(resources):
    kept = {name for name, found in resources.items() if found.get("DeletionPolicy") in {"Retain", "Snapshot"}}

    assert {"Database", "Files", "Shared", "Key", "SecretKey", "AnchorKey", "Logs"} <= kept
    assert all(resources[name]["UpdateReplacePolicy"] == resources[name]["DeletionPolicy"] for name in kept)
    assert resources["Database"]["Properties"]["DeletionProtection"] is True


def test_programs_are_those_of_compose(resources):
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

    assert container(resources, "WorkerTask")["Command"] == compose["worker"]["command"]
    assert container(resources, "BeatTask")["Command"] == compose["beat"]["command"]
    assert container(resources, "OperatorTask")["Command"] == compose["migrate"]["command"]
    assert "Command" not in container(resources, "WebTask")  # the image's own


def test_fa14_a_release_cuts_no_request(resources):
    """The new stand before the old go; a task that is told to stop has longer than the load balancer's goodbye."""
    web = resources["Web"]["Properties"]["DeploymentConfiguration"]
    delay = resources["WebTargets"]["Properties"]["TargetGroupAttributes"][0]

    assert web["MinimumHealthyPercent"] == 100
    assert web["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert delay["Key"] == "deregistration_delay.timeout_seconds"
    assert container(resources, "WebTask")["StopTimeout"] >= int(delay["Value"])


def test_there_are_never_two_beats(resources):
    beat = resources["Beat"]["Properties"]["DeploymentConfiguration"]

    assert (beat["MinimumHealthyPercent"], beat["MaximumPercent"]) == (0, 100)


def test_the_database_away_is_no_reason_to_end_web(resources):
    assert resources["WebTargets"]["Properties"]["HealthCheckPath"] == "/livez"


def test_the_log_of_the_database_holds_no_names(resources):
    kept = resources["DatabaseSettings"]["Properties"]["Parameters"]

    assert kept["log_min_error_statement"] == "panic"
    assert kept["log_error_verbosity"] == "terse"
    assert kept["log_parameter_max_length_on_error"] == "0"


def test_an_anchor_key_of_letters_and_digits_is_a_key(settings, resources):
    """Secrets Manager makes no base64 with its end; 43 letters and digits are 32 bytes all the same."""
    from tenancy.audit.anchors import signing_key

    made = resources["AnchorKey"]["Properties"]["GenerateSecretString"]
    assert made == {"PasswordLength": 43, "ExcludePunctuation": True}
    settings.AUDIT_ANCHOR_KEY = "Abc123xyZ" * 4 + "Abc123x"

    assert signing_key().public_key() is not None


def test_the_address_of_redis_is_understood_by_both_clients():
    url = "rediss://:secret@cache.example:6379/0?ssl_cert_reqs=required"

    with redis.Redis.from_url(url) as client:
        assert client.connection_pool.connection_kwargs["ssl_cert_reqs"] == "required"
    with Connection(url) as broker:
        assert broker.hostname == "cache.example"
        assert broker.transport_cls == "rediss"
        assert broker.password == "secret"
