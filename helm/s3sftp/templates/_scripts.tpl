{{/* Pods of hooks: the image of the server runs a script of the chart. */}}

{{- define "s3sftp.scriptPod" -}}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "s3sftp.scriptContainer" -}}
image: {{ include "s3sftp.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [python3, -B, /scripts/{{ .script }}]
{{ include "s3sftp.scriptLimits" .root }}
volumeMounts:
  - name: scripts
    mountPath: /scripts
    readOnly: true
{{- end }}

{{- define "s3sftp.scriptLimits" -}}
resources:
  requests: {cpu: 50m, memory: 128Mi}
  limits: {memory: 256Mi}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}
