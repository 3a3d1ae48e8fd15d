{{- define "s3sftp.resourceAttributes" -}}
{{- $pairs := list (printf "service.version=%s" .Chart.AppVersion) "k8s.pod.name=$(POD_NAME)" (printf "k8s.namespace.name=%s" .Release.Namespace) -}}
{{- range $name, $value := .Values.openTelemetry.resourceAttributes -}}
{{- $pairs = append $pairs (printf "%s=%v" $name $value) -}}
{{- end -}}
{{- join "," $pairs -}}
{{- end }}

{{/* The series of this release: of its pods, whatever scrapes them. */}}
{{- define "s3sftp.series" -}}
namespace="{{ .Release.Namespace }}",pod=~"{{ include "s3sftp.fullname" . }}-[a-z0-9]+-[a-z0-9]+"
{{- end }}
