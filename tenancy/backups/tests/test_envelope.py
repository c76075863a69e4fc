"""A sealed stream comes back whole, for its key only, and no byte of it changes unseen (security.md BK-04, BK-05)."""

import io
import random

import pytest

from tenancy.backups import envelope
from tenancy.backups.envelope import (
    CHUNK,
    TAG,
    EnvelopeProblem,
    OpeningReader,
    SealingWriter,
    make_key,
    read_private_key,
    read_private_keys,
    read_public_key,
)

PRIVATE, PUBLIC = make_key()
KEY = read_private_key(PRIVATE)
CONTENT = random.Random(1).randbytes(2 * CHUNK + 1000)


def seal(content, *recipients):
    target = io.BytesIO()
    writer = SealingWriter(target, [read_public_key(text) for text in recipients or [PUBLIC]])
    for start in range(0, len(content), 77_777):
        writer.write(content[start : start + 77_777])
    writer.close()
    return target.getvalue()


def unseal(sealed, *keys):
    return io.BufferedReader(OpeningReader(io.BytesIO(sealed), keys or [KEY])).read()


@pytest.fixture(scope="module")
def sealed():
    return seal(CONTENT)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1])
def test_what_was_sealed_comes_back(size):
    assert unseal(seal(CONTENT[:size])) == CONTENT[:size]


def test_bk05_each_of_several_keys_opens_it():
    second_private, second_public = make_key()
    sealed = seal(b"both", PUBLIC, second_public)

    assert unseal(sealed) == unseal(sealed, read_private_key(second_private)) == b"both"


def test_bk04_another_key_is_refused_and_named(sealed):
    other = read_private_key(make_key()[0])

    with pytest.raises(
        EnvelopeProblem, match=r"None of the keys given opens this backup\. It is sealed for [0-9a-f]{16}"
    ):
        unseal(sealed, other)


def test_bk04_one_changed_byte_is_found_wherever_it_is(sealed):
    chance = random.Random(20261121)
    places = [*range(0, 400, 7), *(chance.randrange(len(sealed)) for _ in range(60)), len(sealed) - 1]

    for place in places:
        broken = bytearray(sealed)
        broken[place] ^= 1 << chance.randrange(8)
        with pytest.raises(EnvelopeProblem):
            unseal(bytes(broken))


def test_bk04_a_cut_end_is_found_wherever_it_is(sealed):
    body = len(sealed) - (3 * TAG + len(CONTENT))
    ends = [0, 5, body - 1, body, body + CHUNK + TAG, body + 2 * (CHUNK + TAG), len(sealed) - 1, len(sealed) - TAG]

    for end in ends:
        with pytest.raises(EnvelopeProblem):
            unseal(sealed[:end])


def test_bk04_chunks_out_of_order_or_twice_are_found(sealed):
    body = len(sealed) - (3 * TAG + len(CONTENT))
    head, first, second = sealed[:body], sealed[body : body + CHUNK + TAG], sealed[body + CHUNK + TAG :]

    for other in (head + second[: CHUNK + TAG] + first, head + first + first + second, head + second, sealed + b"x"):
        with pytest.raises(EnvelopeProblem):
            unseal(other)


def test_nothing_is_handed_out_before_it_is_verified(sealed):
    broken = bytearray(sealed)
    broken[-1] ^= 1
    reader = OpeningReader(io.BytesIO(bytes(broken)), [KEY])

    assert reader.read(2 * CHUNK) == CONTENT[:CHUNK]  # a raw read gives one chunk at most
    with pytest.raises(EnvelopeProblem, match="damaged or cut off"):
        while reader.read(CHUNK):
            pass


def test_two_sealings_of_the_same_have_nothing_in_common(sealed):
    again = seal(CONTENT)

    assert again[-2000:] != sealed[-2000:]
    assert CONTENT[:64] not in sealed


@pytest.mark.parametrize(
    "text",
    ["", "cwbackup-public-", PRIVATE, PUBLIC[:-1], PUBLIC + "A", "cwbackup-public-" + "é" * 43],
    ids=["empty", "nothing-behind", "the-private-one", "cut-off", "too-long", "no-base64"],
)
def test_read_public_key_refuses_what_is_none(text):
    with pytest.raises(EnvelopeProblem, match="no public backup key"):
        read_public_key(text)


def test_read_private_keys_takes_several_and_says_what_is_wrong(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"# the new one\n{PRIVATE}\n\n# the old one\n{make_key()[0]}\n")
    assert len(read_private_keys(file)) == 2

    file.write_text("# nothing yet\n")
    with pytest.raises(EnvelopeProblem, match="holds no key"):
        read_private_keys(file)
    with pytest.raises(EnvelopeProblem, match="can not be read: No such file"):
        read_private_keys(tmp_path / "elsewhere")


def test_a_writer_wants_somebody_to_seal_for():
    with pytest.raises(EnvelopeProblem, match="at least one key"):
        envelope.SealingWriter(io.BytesIO(), [])
