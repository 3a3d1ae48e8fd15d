{{/* The Secrets that the values name and others make: what is missing, where a cluster can be asked. */}}

{{/* A JSON list of `value`, `secret`, the `keys` that it has to have, and the `command` that makes it. */}}
{{- define "s3sftp.namedSecrets" -}}
{{- $named := list -}}
{{- with .Values.users.existingSecret -}}
{{- $named = append $named (dict "value" "users.existingSecret" "secret" . "keys" list "from" "--from-file=users.toml") -}}
{{- end -}}
{{- with .Values.hostKeys.existingSecret -}}
{{- $from := list -}}
{{- range $.Values.hostKeys.files -}}{{- $from = append $from (printf "--from-file=%s" .) -}}{{- end -}}
{{- $named = append $named (dict "value" "hostKeys.existingSecret" "secret" . "keys" $.Values.hostKeys.files "from" (join " " $from)) -}}
{{- end -}}
{{- with .Values.adminTokens.existingSecret -}}
{{- $named = append $named (dict "value" "adminTokens.existingSecret" "secret" . "keys" (list "tokens") "from" "--from-literal=tokens=\"ops $(openssl rand -hex 32)\"") -}}
{{- end -}}
{{- with .Values.credentials.existingSecret -}}
{{- $named = append $named (dict "value" "credentials.existingSecret" "secret" . "keys" (list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY") "from" "--from-literal=AWS_ACCESS_KEY_ID=… --from-literal=AWS_SECRET_ACCESS_KEY=…") -}}
{{- end -}}
{{- toJson $named -}}
{{- end }}

{{- define "s3sftp.commandForSecret" -}}
kubectl --namespace {{ .namespace }} create secret generic {{ .named.secret }} {{ .named.from }}
{{- end }}

{{/* Every namespace has this ConfigMap: no answer means that there is no cluster to ask (`helm template`), or that
     the namespace is still to be made. */}}
{{- define "s3sftp.clusterAnswers" -}}
{{- if and .Values.checkSecrets (lookup "v1" "ConfigMap" .Release.Namespace "kube-root-ca.crt") -}}true{{- end -}}
{{- end }}

{{- define "s3sftp.problems.missingSecrets" -}}
{{- $namespace := .Release.Namespace }}
{{- $named := include "s3sftp.namedSecrets" . | fromJsonArray }}
{{- if and $named (include "s3sftp.clusterAnswers" .) }}
{{- range $each := $named }}
{{- $found := lookup "v1" "Secret" $namespace $each.secret }}
{{- if not $found }}
{{ $each.value }} = {{ $each.secret }}: there is no such Secret in namespace {{ $namespace }}: make it by `{{ include "s3sftp.commandForSecret" (dict "namespace" $namespace "named" $each) }}`, or set checkSecrets to false if it is made later
{{- else }}
{{- range $key := $each.keys }}
{{- if not (hasKey ($found.data | default dict) $key) }}
{{ $each.value }} = {{ $each.secret }}: the Secret in namespace {{ $namespace }} lacks {{ $key }}: add it by `kubectl --namespace {{ $namespace }} edit secret {{ $each.secret }}`{{ if eq $each.value "hostKeys.existingSecret" }}, or set hostKeys.files to what it has{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
