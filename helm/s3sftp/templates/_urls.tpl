{{- define "s3sftp.portOfUrl" -}}
{{- $port := regexFind ":[0-9]+$" (get (urlParse .) "host") | trimPrefix ":" -}}
{{- $port | default (ternary 80 443 (hasPrefix "http://" (lower .))) -}}
{{- end }}
