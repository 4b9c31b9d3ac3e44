# Sourced by ./run and ./test: a virtual environment with the pinned dependencies in .venv.
# Sets PYTHON. Rebuilt when requirements or the Python version change. "make_venv training" adds what
# training/ needs, under a stamp of its own: a first ./run does not wait for packages it does not use.

suitable='import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'

find_python() {
    if [ -n "${BORSA_PYTHON:-}" ]; then
        if "$BORSA_PYTHON" -c "$suitable" >/dev/null 2>&1; then
            "$BORSA_PYTHON" -c 'import sys; print(sys.executable)'; return
        fi
        echo "BORSA_PYTHON is $BORSA_PYTHON, which is not Python 3.11, 3.12 or 3.13 with the venv module." >&2
        return 1
    fi
    for minor in 13 12 11; do
        for candidate in "python3.$minor" "$HOME"/.pyenv/versions/3.$minor.*/bin/python3; do
            if "$candidate" -c "import sys, venv; sys.exit(sys.version_info[:2] != (3, $minor))" >/dev/null 2>&1; then
                "$candidate" -c 'import sys; print(sys.executable)'; return
            fi
        done
    done
    if python3 -c "$suitable" >/dev/null 2>&1; then
        python3 -c 'import sys; print(sys.executable)'; return
    fi
    echo "Borsa needs Python 3.11, 3.12 or 3.13 with the venv module; none was found. Install one (for example python3.13 and python3.13-venv) and run this again." >&2
    return 1
}

make_venv() {
    local base stamp
    base=$(find_python) || return 1
    stamp="$base $(cat requirements.txt requirements-dev.txt | cksum)"
    if [ ! -x .venv/bin/python ] || [ "$(cat .venv/stamp 2>/dev/null)" != "$stamp" ]; then
        echo "Preparing .venv with $("$base" --version) (once; about a minute) ..." >&2
        rm -rf .venv
        "$base" -m venv .venv || return 1
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt >&2 || {
            echo "Installing the dependencies failed; see the message above. Nothing was started." >&2
            return 1
        }
        echo "$stamp" > .venv/stamp
    fi
    if [ "${1:-}" = training ]; then
        stamp=$(cat requirements.txt requirements-dev.txt training/requirements.txt | cksum)
        if [ "$(cat .venv/stamp-training 2>/dev/null)" != "$stamp" ]; then
            echo "Adding what training needs to .venv (once; some minutes, 1 GB) ..." >&2
            .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -r training/requirements.txt >&2 || {
                echo "Installing the training packages failed; see the message above." >&2
                return 1
            }
            echo "$stamp" > .venv/stamp-training
        fi
    fi
    PYTHON=$PWD/.venv/bin/python
}
