# Portainer's server, without its client in the browser: what its pages ask of an environment is asked of its API, as they do.
# Each line of "pages" must be answered, and each of "buttons" refused in our words.
mkdir -p "$W/data" "$W/public"
printf vitrine-presets > "$W/password"
install /dev/null "$W/docker-compose" # it does not start without one, which no page asks for
"$T/portainer" --bind 127.0.0.1:18083 --bind-https 127.0.0.1:18084 --http-enabled --tunnel-addr 127.0.0.1 --tunnel-port 18085 \
	--data "$W/data" --assets "$W" --admin-password-file "$W/password" --host "unix://$S" > "$W/log" 2>&1 &
SERVER=$!
P=http://127.0.0.1:18083/api
for _ in $(seq 60); do
	curl -fsS -m 5 -o "$W/jwt" -d '{"username":"admin","password":"vitrine-presets"}' "$P/auth" 2> /dev/null && break
	sleep 1
done
J=$(jq -r .jwt "$W/jwt")

# ask METHOD PATH [BODY] writes the answer to $W/a, and its status.
ask() {
	curl -sS -m 30 -o "$W/a" -w '%{http_code}' -X "$1" -H "Authorization: Bearer $J" -H 'Content-Type: application/json' ${3:+--data "$3"} "$P$2"
}
first() { ask GET "/endpoints/1/docker/$1" > /dev/null && jq -r "$2" "$W/a"; }
FAILED=0
failed() { FAILED=1; echo "$1: $(head -c 400 "$W/a")"; }

C=$(first 'containers/json?filters=%7B%22name%22:%5B%22%5E/web$%22%5D%7D' '.[0].Id')
I=$(first images/json '.[0].Id')
N=$(first networks '.[] | select(.Name == "bridge") | .Id')
V=$(first nodes '.[0].ID')
SERVICE=$(first 'services?filters=%7B%22name%22:%5B%22shop%22%5D%7D' '.[0].ID')
TASK=$(first 'tasks?filters=%7B%22service%22:%5B%22shop%22%5D%7D' '.[0].ID')
SECRET=$(first secrets '.[0].ID')
CONFIG=$(first configs '.[0].ID')

while read -r method path; do
	case $(ask "$method" "$path") in 200 | 204) ;; *) failed "page $method $path" ;; esac
done << pages
POST /endpoints/1/snapshot
GET /endpoints?start=1&limit=10
GET /docker/1/dashboard
GET /docker/1/images?withUsage=true
GET /docker/1/containers/$C/gpus
GET /endpoints/1/docker/_ping
GET /endpoints/1/docker/info
GET /endpoints/1/docker/version
GET /endpoints/1/docker/plugins
GET /endpoints/1/docker/events?since=1&until=2
GET /endpoints/1/docker/containers/json?all=1
GET /endpoints/1/docker/containers/$C/json
GET /endpoints/1/docker/containers/$C/logs?stdout=1&stderr=1&tail=100
GET /endpoints/1/docker/containers/$C/stats?stream=false
GET /endpoints/1/docker/images/json
GET /endpoints/1/docker/images/$I/json
GET /endpoints/1/docker/images/$I/history
GET /endpoints/1/docker/volumes?filters=%7B%22dangling%22:%5B%22true%22%5D%7D
GET /endpoints/1/docker/volumes/data
GET /endpoints/1/docker/networks
GET /endpoints/1/docker/networks/$N
GET /endpoints/1/docker/nodes/$V
GET /endpoints/1/docker/services?status=true
GET /endpoints/1/docker/services/$SERVICE
GET /endpoints/1/docker/services/$SERVICE/logs?stdout=1&stderr=1&tail=100
GET /endpoints/1/docker/tasks/$TASK
GET /endpoints/1/docker/tasks/$TASK/logs?stdout=1&stderr=1&tail=100
GET /endpoints/1/docker/secrets/$SECRET
GET /endpoints/1/docker/configs/$CONFIG
pages

while read -r method path body; do
	ask "$method" "$path" "$body" > /dev/null
	grep -q 'vitrine: .* may not' "$W/a" || failed "button $method $path"
done << buttons
GET /endpoints/1/docker/containers/$C/top
GET /endpoints/1/docker/swarm
GET /endpoints/1/docker/images/get?names=bb:1
POST /endpoints/1/docker/containers/$C/stop {}
POST /endpoints/1/docker/containers/$C/restart {}
POST /endpoints/1/docker/containers/$C/exec {"Cmd":["sh"]}
POST /endpoints/1/docker/containers/create?name=new {"Image":"bb:1"}
POST /docker/1/containers/$C/recreate {"PullImage":false}
DELETE /endpoints/1/docker/containers/$C?force=true
POST /endpoints/1/docker/images/create?fromImage=bb {}
DELETE /endpoints/1/docker/images/$I
POST /endpoints/1/docker/volumes/create {"Name":"new"}
DELETE /endpoints/1/docker/volumes/data
POST /endpoints/1/docker/networks/create {"Name":"new"}
POST /endpoints/1/docker/services/$SERVICE/update?version=1 {"Name":"shop"}
DELETE /endpoints/1/docker/services/$SERVICE
buttons
kill "$SERVER"
[ "$FAILED" = 0 ] && echo "all pages"
cat "$W/log"
