"""Where things stand in the store. Every key is written once and means one thing forever.

::

    blobs/sha256/ab/ab12…                                bytes, named by their digest
    models/<m>/versions/000000007.json                   a manifest: the commit point of version 7
    models/<m>/baselines/ab12….json                      how a version's training sample was distributed
    models/<m>/reports/ab12….html                        the page about a version, made before its publish
    models/<m>/edge/ab12….tflite                         a version as a LiteRT file, for phones and boards
    models/<m>/digests/ab12…/000000007.json              version 7 has this digest: a hint, no more
    models/<m>/indexed/999999992.json                    every version up to 7 has its hint (999999999 - 7)
    models/<m>/removed/000000007.json                    version 7 is gone for good: its tombstone
    models/<m>/pins/000000007/000000002.json             the second pin of version 7, until `.ended` is there
    models/<m>/releases/<alias>/000000012.json           line 12 of the ledger of <alias>
    models/<m>/pages/<alias>/000000001.json              the first hundred lines of that ledger once more
    models/<m>/plans/<alias>/<id>.json                   a move of <alias> that was about to happen
    models/<m>/shifts/<alias>/000000003.json             the third shift of <alias>: its steps, who and why
    models/<m>/prepared/000000007/<base>-000000031.json  version 7 on base <base> is Lambda version 31
    models/<m>/served/000000007/manifest.json            version 7 as a folder, as an endpoint mounts it
    models/<m>/collected/000000007/<base>-000000031.json Lambda version 31 is gone, or goes: its tombstone
    models/<m>/unfit/000000007/<base>-000000032.json     Lambda version 32 failed its checks: never used
    models/<m>/awake/000000365.json                      which versions could answer on that day
    models/<m>/bases/000000003.json                      the third configuration a deploy recorded
    models/<m>/bases/000000003.accepted                  its wave held: ways back go to it from now on
    models/<m>/lease/000000044.json                      who prepares a version now, and until when
    collect/000000005.json                               what the fifth collection is taking away
    rebases/000000002.json                               the second rebase in waves: which models, in which
    waves/000000002/000000003.began                      its third wave: when, and what was wrong before it
    waves/000000002/000000003.judged                     whether that wave held
"""

from __future__ import annotations

from model_store.contract.digest import Digest

DIGITS = 9

_HIGHEST = 999_999_999
BLOBS_PREFIX = "blobs/"


def blob_key(digest: Digest) -> str:
    """Bytes, named by their digest."""
    return f"{BLOBS_PREFIX}sha256/{digest.hex[:2]}/{digest.hex}"


def versions_prefix(model: str) -> str:
    """All manifests of a model."""
    return f"models/{model}/versions/"


def manifest_key(model: str, version: int) -> str:
    """What a version is; writing it is what makes the version."""
    return f"{versions_prefix(model)}{version:0{DIGITS}d}.json"


def signatures_prefix(model: str, version: int) -> str:
    """Under this prefix stand the signatures of a version's manifest, one for each key that signed it."""
    return f"models/{model}/signatures/{version:0{DIGITS}d}/"


def signature_key(model: str, version: int, signed_by: Digest) -> str:
    """The signature of one key, which is named by the digest of its name."""
    return f"{signatures_prefix(model, version)}{signed_by.hex[:16]}.json"


def baseline_key(model: str, digest: Digest) -> str:
    """How inputs and outputs were distributed at training; the manifest of a version names the digest."""
    return f"models/{model}/baselines/{digest.hex}.json"


def report_key(model: str, digest: Digest) -> str:
    """The page about a version; its lineage names the digest."""
    return f"models/{model}/reports/{digest.hex}.html"


def edge_key(model: str, digest: Digest) -> str:
    """A version as a LiteRT file; its lineage names the digest."""
    return f"models/{model}/edge/{digest.hex}.tflite"


def digest_prefix(model: str, digest: Digest) -> str:
    """Which versions of a model are said to have this digest."""
    return f"models/{model}/digests/{digest.hex}/"


def digest_key(model: str, digest: Digest, version: int) -> str:
    """Says that a version has this digest. Its manifest decides whether that is so."""
    return f"{digest_prefix(model, digest)}{version:0{DIGITS}d}.json"


def indexed_prefix(model: str) -> str:
    """Up to which versions the digests are written down; the first key is the newest."""
    return f"models/{model}/indexed/"


def indexed_key(model: str, version: int) -> str:
    """Says that every version up to this one has its hint. Counts down: listings go upwards."""
    return f"{indexed_prefix(model)}{_HIGHEST - version:0{DIGITS}d}.json"


def number_indexed(key: str) -> int:
    """The version that an ``indexed_key`` speaks of."""
    return _HIGHEST - number_in(key)


def removed_prefix(model: str) -> str:
    """The tombstones of a model."""
    return f"models/{model}/removed/"


def tombstone_key(model: str, version: int) -> str:
    """Says that a version is gone; writing it is what removes the version."""
    return f"{removed_prefix(model)}{version:0{DIGITS}d}.json"


def pins_prefix(model: str) -> str:
    """All pins of a model, held and let go."""
    return f"models/{model}/pins/"


def pin_key(model: str, version: int, number: int) -> str:
    """Somebody wants a version kept."""
    return f"{pins_prefix(model)}{version:0{DIGITS}d}/{number:0{DIGITS}d}.json"


def pin_end_key(model: str, version: int, number: int) -> str:
    """Written when a pin is let go."""
    return f"{pins_prefix(model)}{version:0{DIGITS}d}/{number:0{DIGITS}d}.ended"


SWEEPS_PREFIX = "collect/"


def sweep_key(number: int) -> str:
    """What a collection is about to take away, and until when it may."""
    return f"{SWEEPS_PREFIX}{number:0{DIGITS}d}.json"


def sweep_end_key(number: int) -> str:
    """Written when a collection has ended."""
    return f"{SWEEPS_PREFIX}{number:0{DIGITS}d}.ended"


def ledgers_prefix(model: str) -> str:
    """The ledgers of all aliases of a model."""
    return f"models/{model}/releases/"


def ledger_prefix(model: str, alias: str) -> str:
    """All lines of the ledger of an alias."""
    return f"{ledgers_prefix(model)}{alias}/"


def ledger_key(model: str, alias: str, line: int) -> str:
    """One line of a ledger."""
    return f"{ledger_prefix(model, alias)}{line:0{DIGITS}d}.json"


def ledger_pages_prefix(model: str, alias: str) -> str:
    """The pages of the ledger of an alias."""
    return f"models/{model}/pages/{alias}/"


def ledger_page_key(model: str, alias: str, page: int) -> str:
    """Many lines of a ledger once more, in one object: line by line a long ledger takes long to read."""
    return f"{ledger_pages_prefix(model, alias)}{page:0{DIGITS}d}.json"


def plans_prefix(model: str) -> str:
    """All plans of all aliases of a model."""
    return f"models/{model}/plans/"


def plan_key(model: str, alias: str, plan: str) -> str:
    """A move of an alias that was about to happen."""
    return f"{plans_prefix(model)}{alias}/{plan}.json"


def shifts_prefix(model: str, alias: str) -> str:
    """All shifts of an alias that were ever asked for."""
    return f"models/{model}/shifts/{alias}/"


def shift_key(model: str, alias: str, number: int) -> str:
    """What a shift is to do. Writing it claims the alias for it."""
    return f"{shifts_prefix(model, alias)}{number:0{DIGITS}d}.json"


def shift_end_key(model: str, alias: str, number: int) -> str:
    """Written when a shift ended before it gave a share to anybody; else the ledger says how it ended."""
    return f"{shifts_prefix(model, alias)}{number:0{DIGITS}d}.ended"


def all_prepared_prefix(model: str) -> str:
    """Everything that any version of a model was prepared as."""
    return f"models/{model}/prepared/"


def prepared_prefix(model: str, version: int) -> str:
    """Everything a version was prepared as."""
    return f"{all_prepared_prefix(model)}{version:0{DIGITS}d}/"


def prepared_key(model: str, version: int, base: str, lambda_version: int) -> str:
    """A version on one base, as one Lambda version."""
    return f"{prepared_prefix(model, version)}{base}-{lambda_version:0{DIGITS}d}.json"


def all_served_prefix(model: str) -> str:
    """The folders of all versions of a model that were laid out for endpoints."""
    return f"models/{model}/served/"


def served_prefix(model: str, version: int) -> str:
    """A version as a folder: ``manifest.json``, ``golden.json`` and ``files/``, for those that cannot look
    blobs up by their digest: SageMaker copies every object below a prefix to where a container finds it."""
    return f"{all_served_prefix(model)}{version:0{DIGITS}d}/"


def collected_prefix(model: str) -> str:
    """The tombstones of a model's Lambda versions."""
    return f"models/{model}/collected/"


def collected_key(model: str, version: int, base: str, lambda_version: int) -> str:
    """A Lambda version that was this version on this base, and that a collection took."""
    return f"{collected_prefix(model)}{version:0{DIGITS}d}/{base}-{lambda_version:0{DIGITS}d}.json"


def unfit_prefix(model: str) -> str:
    """Every Lambda version of a model that failed its checks."""
    return f"models/{model}/unfit/"


def unfit_key(model: str, version: int, base: str, lambda_version: int) -> str:
    """A Lambda version that was to be this version on this base, and failed its checks."""
    return f"{unfit_prefix(model)}{version:0{DIGITS}d}/{base}-{lambda_version:0{DIGITS}d}.json"


def awake_prefix(model: str) -> str:
    """Every time that a model's versions were asked whether they could answer."""
    return f"models/{model}/awake/"


def awake_key(model: str, number: int) -> str:
    """What came of asking them once."""
    return f"{awake_prefix(model)}{number:0{DIGITS}d}.json"


def bases_prefix(model: str) -> str:
    """All configurations that deploys recorded for a model."""
    return f"models/{model}/bases/"


def base_key(model: str, number: int) -> str:
    """One recorded configuration."""
    return f"{bases_prefix(model)}{number:0{DIGITS}d}.json"


def base_accepted_key(model: str, number: int) -> str:
    """Written when a configuration that waited for a wave of a rebase has held in it."""
    return f"{bases_prefix(model)}{number:0{DIGITS}d}.accepted"


REBASES_PREFIX = "rebases/"


def rebase_key(number: int) -> str:
    """What a rebase in waves is to do. Writing it claims the stage for it."""
    return f"{REBASES_PREFIX}{number:0{DIGITS}d}.json"


def rebase_end_key(number: int) -> str:
    """Written when a rebase in waves is over, with how it ended."""
    return f"{REBASES_PREFIX}{number:0{DIGITS}d}.ended"


def wave_began_key(number: int, wave: int) -> str:
    """Written before the first alias of a wave moves: when, and what was wrong already."""
    return f"waves/{number:0{DIGITS}d}/{wave:0{DIGITS}d}.began"


def wave_judged_key(number: int, wave: int) -> str:
    """Whether a wave held. The first judgement stands, and what follows from it follows from this key."""
    return f"waves/{number:0{DIGITS}d}/{wave:0{DIGITS}d}.judged"


def lease_prefix(model: str) -> str:
    """All leases of a model, taken and let go."""
    return f"models/{model}/lease/"


def lease_key(model: str, number: int) -> str:
    """Who prepares a version of a model, and until when."""
    return f"{lease_prefix(model)}{number:0{DIGITS}d}.json"


def lease_end_key(model: str, number: int) -> str:
    """Written when the holder of lease ``number`` lets it go before it expires."""
    return f"{lease_prefix(model)}{number:0{DIGITS}d}.released"


def number_in(key: str) -> int:
    """The number a key ends in: ``…/000000007.json`` is 7."""
    return int(key.rsplit("/", 1)[1].split(".", 1)[0])
