{{/* s3sftp.toml from values. Helm's own toToml writes every number as a float, which no option takes. */}}

{{/* A text. JSON's escapes are TOML's too; only DEL needs one there, and in YAML. */}}
{{- define "s3sftp.toml.text" -}}
{{- toJson . | replace "\u007f" "\\u007f" -}}
{{- end }}

{{- define "s3sftp.toml.value" -}}
{{- if kindIs "string" . -}}
{{- include "s3sftp.toml.text" . -}}
{{- else if kindIs "bool" . -}}
{{- . -}}
{{- else if kindIs "slice" . -}}
[{{- range $index, $item := . -}}{{- if $index }}, {{ end -}}{{- include "s3sftp.toml.value" $item -}}{{- end -}}]
{{- else if kindIs "map" . -}}
{ {{- range $index, $name := keys . | sortAlpha -}}{{- if $index }}, {{ else }} {{ end -}}{{ include "s3sftp.toml.text" $name }} = {{ include "s3sftp.toml.value" (get $ $name) }}{{- end }} }
{{- else if eq (floor .) (float64 .) -}}
{{- int64 . -}}
{{- else -}}
{{- float64 . -}}
{{- end -}}
{{- end }}

{{/* The options of a table, one a line. */}}
{{- define "s3sftp.toml.options" -}}
{{- range $name, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{ if regexMatch "^[A-Za-z0-9_-]+$" $name }}{{ $name }}{{ else }}{{ include "s3sftp.toml.text" $name }}{{ end }} = {{ include "s3sftp.toml.value" $value }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the values say, and what follows from the pod that it runs in. */}}
{{- define "s3sftp.toml" -}}
{{- $config := deepCopy .Values.config -}}
{{- $backend := $config.backend | default "s3" -}}
{{- range $group := list "auth" "listen" "server" "ssh" "sftp" -}}
{{- if not (get $config $group) -}}{{- $_ := set $config $group dict -}}{{- end -}}
{{- end -}}
{{- if ne $backend "s3" -}}{{- $_ := unset $config "s3" -}}{{- end -}}
{{- if eq $backend "memory" -}}{{- $_ := set $config.server "workers" 1 -}}{{- end -}}
{{- if not $config.auth.users_dir -}}{{- $_ := set $config.auth "users_dir" "/etc/s3sftp/users" -}}{{- end -}}
{{- $keys := list -}}
{{- range .Values.hostKeys.files -}}{{- $keys = append $keys (printf "/etc/s3sftp/host-keys/%s" .) -}}{{- end -}}
{{- $_ := set $config.ssh "host_keys" $keys -}}
{{- range $name, $value := $config -}}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) -}}
{{ $name }} = {{ include "s3sftp.toml.value" $value }}
{{ end -}}
{{- end -}}
{{- range $name, $options := $config -}}
{{- if kindIs "map" $options }}
[{{ $name }}]
{{- include "s3sftp.toml.options" $options }}
{{ end -}}
{{- end -}}
{{- end }}

{{/* The users and groups of the values, for a Secret. */}}
{{- define "s3sftp.usersToml" -}}
{{- range $name, $group := .Values.users.groups -}}
[groups.{{ include "s3sftp.toml.text" $name }}]
{{- include "s3sftp.toml.options" $group }}

{{ end -}}
{{- range $name, $user := .Values.users.inline -}}
[users.{{ include "s3sftp.toml.text" $name }}]
{{- include "s3sftp.toml.options" $user }}

{{ end -}}
{{- end }}
