"""What an answer must not hold, whoever asks whatever: a check of `cargo xtask fuzz-api`."""

import re

import schemathesis

INSIDES = re.compile(
    r"panicked at|stack backtrace|\.rs:\d|/src/|rusqlite|tokio[-_]postgres|SQLITE_|\bSELECT\b.*\bFROM\b|thread '"
)


@schemathesis.check
def tells_no_insides(ctx, response, case):
    found = INSIDES.search(response.text or "")
    if found and found.group(0) not in str(case.body):
        raise AssertionError(f"the answer tells of the program's insides: {found.group(0)}")
