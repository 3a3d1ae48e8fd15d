{{/* Lengths of time and sizes, as the options of s3sftp and Kubernetes write them. */}}

{{/* Seconds, rounded up, of a number or of a text such as "1.5 min". */}}
{{- define "s3sftp.seconds" -}}
{{- if kindIs "string" . -}}
{{- $text := . | trim | lower -}}
{{- $digits := regexFind "^[0-9.]+" $text -}}
{{- $unit := trimPrefix $digits $text | trim | default "s" -}}
{{- $factors := dict "ms" 0.001 "s" 1.0 "sec" 1.0 "m" 60.0 "min" 60.0 "h" 3600.0 "d" 86400.0 -}}
{{- mulf (float64 $digits) (get $factors $unit | default 1.0) | ceil | int64 -}}
{{- else -}}
{{- . | float64 | ceil | int64 -}}
{{- end -}}
{{- end }}

{{/* MiB, rounded down, of a number of bytes, a text such as "8 MiB", or a quantity such as 1Gi. */}}
{{- define "s3sftp.mebibytes" -}}
{{- if kindIs "string" . -}}
{{- $text := . | trim | lower -}}
{{- $digits := regexFind "^[0-9.]+" $text -}}
{{- $unit := trimPrefix $digits $text | trim | trimSuffix "b" -}}
{{- $factors := dict "ki" 1024.0 "mi" 1048576.0 "gi" 1073741824.0 "ti" 1099511627776.0 "k" 1e3 "m" 1e6 "g" 1e9 "t" 1e12 -}}
{{- divf (mulf (float64 $digits) (get $factors $unit | default 1.0)) 1048576.0 | floor | int64 -}}
{{- else -}}
{{- divf (float64 .) 1048576.0 | floor | int64 -}}
{{- end -}}
{{- end }}

{{- define "s3sftp.leastGraceSeconds" -}}
{{- $server := .Values.config.server | default dict -}}
{{- $sftp := .Values.config.sftp | default dict -}}
{{- $delay := include "s3sftp.seconds" (dig "drain_delay" 0 $server) -}}
{{- $drain := include "s3sftp.seconds" (dig "drain_timeout" "30 s" $server) -}}
{{- $close := include "s3sftp.seconds" (dig "close_timeout" "1 min" $sftp) -}}
{{- add $delay $drain $close 15 -}}
{{- end }}
