{{/* What objects are called, and the labels by which they find each other. */}}

{{- define "s3sftp.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* Room is left for suffixes such as -host-keys: names of Services have 63 characters at most. */}}
{{- define "s3sftp.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "s3sftp.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "s3sftp.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "s3sftp.selectorLabels" -}}
app.kubernetes.io/name: {{ include "s3sftp.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: server
{{- end }}

{{- define "s3sftp.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/part-of: s3sftp
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "s3sftp.labels" -}}
{{ include "s3sftp.selectorLabels" . }}
{{ include "s3sftp.commonLabels" . }}
{{- end }}

{{/* Those labels and more, which win. Takes a dict of `root` and `more`. */}}
{{- define "s3sftp.labelsAnd" -}}
{{ toYaml (merge (deepCopy (.more | default dict)) (include "s3sftp.labels" .root | fromYaml)) }}
{{- end }}

{{/* Of objects that only a hook uses: never the server's, or its Service would send clients there.
     Takes a dict of `root` and `component`. */}}
{{- define "s3sftp.hookLabels" -}}
app.kubernetes.io/name: {{ include "s3sftp.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{ include "s3sftp.commonLabels" .root }}
{{- end }}

{{- define "s3sftp.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "s3sftp.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "s3sftp.hostKeysSecret" -}}
{{- .Values.hostKeys.existingSecret | default .Values.hostKeys.secretName | default (printf "%s-host-keys" (include "s3sftp.fullname" .)) -}}
{{- end }}

{{- define "s3sftp.makesHostKeys" -}}
{{- if and .Values.hostKeys.generate (not .Values.hostKeys.existingSecret) -}}true{{- end -}}
{{- end }}

{{- define "s3sftp.testUserSecret" -}}
{{- printf "%s-test-user" (include "s3sftp.fullname" .) -}}
{{- end }}

{{/* Whether `helm test` can log in: it does so as a user of its own. */}}
{{- define "s3sftp.tests" -}}
{{- if and .Values.test.enabled (not (include "s3sftp.untestable" .)) -}}true{{- end -}}
{{- end }}

{{/* Why the test has no place for its user, and what to do. Empty: it has one. */}}
{{- define "s3sftp.untestable" -}}
{{- if .Values.users.csi.enabled -}}
users.csi mounts a volume of its own, beside which no Secret with the user of the test can be mounted. Log in as one of your users instead, and set test.enabled to false.
{{- else if dig "auth" "users_dir" "" .Values.config -}}
config.auth.users_dir is a directory of your own, where no Secret with the user of the test can be mounted. Log in as one of your users instead, and set test.enabled to false.
{{- end -}}
{{- end }}

{{- define "s3sftp.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end }}
