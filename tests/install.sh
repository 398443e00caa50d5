#!/bin/sh
# Installs what the tests need and the machine lacks: the Debian packages of tests/packages.txt and
# the Python packages of tests/requirements.txt (into target/venv) and the npm packages of
# tests/package.json (into target/node). Where all is there it is done in a blink. `make test` runs
# it; so does a test that misses a tool.
set -eu
cd "$(dirname "$0")/.."
mkdir -p target
exec 9>target/install.lock
flock 9

missing=
for package in $(sed 's/#.*//' tests/packages.txt); do
	case "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)" in
	ii*) ;;
	*) missing="$missing $package" ;;
	esac
done
# Some packages of Node.js bring npm along, Debian's does not.
command -v npm >/dev/null 2>&1 || missing="$missing npm"
if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "the tests need:$missing" >&2
		echo "run this once: sudo tests/install.sh" >&2
		exit 1
	fi
	echo "installing:$missing"
	# Services are not started: the tests start their own, on ports of their own.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
		trap 'rm -f "$policy"' EXIT
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq -o DPkg::Lock::Timeout=600
	echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
	# shellcheck disable=SC2086
	apt-get install -qq --yes -o DPkg::Lock::Timeout=600 --no-install-recommends --no-upgrade $missing >target/install.log 2>&1 ||
		{ tail -n 40 target/install.log >&2; exit 1; }
fi

venv=target/venv
if ! cmp -s tests/requirements.txt "$venv/installed.txt"; then
	echo "installing Python packages into $venv"
	/usr/bin/python3 -m venv --clear "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/requirements.txt
	cp tests/requirements.txt "$venv/installed.txt"
fi

node=target/node
if ! cmp -s tests/package-lock.json "$node/installed.json"; then
	echo "installing npm packages into $node"
	mkdir -p "$node"
	cp tests/package.json tests/package-lock.json "$node/"
	(cd "$node" && npm ci --silent --no-audit --no-fund)
	cp tests/package-lock.json "$node/installed.json"
fi
