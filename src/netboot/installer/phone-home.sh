#!/bin/sh
# Tells the server that installed this machine its SSH host keys, once; for images without cloud-init.
url=$(cat /var/lib/runbook/phone-home)
rest=${url#http://}
host=${rest%%/*}
port=80
case $host in *:*) port=${host##*:} ;; esac
body="hostname=$(uname -n)"
for type in ed25519 ecdsa rsa; do
  file=/etc/ssh/ssh_host_${type}_key.pub
  [ -r $file ] && body="$body&pub_key_$type=$(cut -d ' ' -f 1,2 $file | sed 's/%/%25/g; s/+/%2B/g; s/ /+/g; s/&/%26/g')"
done
try=0
while [ $try -lt 200 ]; do
  try=$((try + 1))
  code=$(
    if command -v curl >/dev/null; then
      curl -s -m 20 -o /dev/null -w '%{http_code}' -d "$body" "$url"
    else
      timeout 20 bash -c 'exec 3<>"/dev/tcp/$1/$2" && printf "POST /%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s" "$3" "$1" "${#4}" "$4" >&3 && read -r _ code _ <&3 && echo "$code"' \
        - "${host%%:*}" "$port" "${rest#*/}" "$body"
    fi
  )
  case $code in
    200 | 403 | 410)
      rm -f /var/lib/runbook/phone-home
      exit 0
      ;;
  esac
  sleep 3
done
exit 1
