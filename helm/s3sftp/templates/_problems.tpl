{{/* Values that cannot work together, each by a sentence that says why and what to do. */}}

{{- define "s3sftp.check" -}}
{{- $problems := list -}}
{{- range $part := list "storage" "secrets" "missingSecrets" "hostKeys" "network" "scaling" "stopping" "memory" "names" "monitoring" -}}
{{- range $line := splitList "\n" (include (printf "s3sftp.problems.%s" $part) $) -}}
{{- if trim $line -}}{{- $problems = append $problems (trim $line) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "these values cannot work:\n  - %s" (join "\n  - " $problems)) -}}
{{- end -}}
{{- end }}

{{- define "s3sftp.problems.storage" -}}
{{- $config := .Values.config }}
{{- $backend := $config.backend | default "s3" }}
{{- if and (eq $backend "s3") (not (dig "bucket" "" ($config.s3 | default dict))) }}
config.s3.bucket is missing: name the bucket where files are stored
{{- end }}
{{- range $name, $storage := $config.storages }}
{{- if not (dig "bucket" "" ($storage | default dict)) }}
config.storages.{{ $name }}.bucket is missing: name the bucket of this storage
{{- end }}
{{- end }}
{{- $several := ternary (gt (int .Values.autoscaling.maxReplicas) 1) (gt (int .Values.replicas) 1) .Values.autoscaling.enabled }}
{{- if and (eq $backend "memory") $several }}
config.backend = memory has its files in one pod, so several pods would each show others: set replicas to 1 and autoscaling.enabled to false
{{- end }}
{{- end }}

{{- define "s3sftp.problems.secrets" -}}
{{- $config := .Values.config }}
{{- $users := .Values.users }}
{{- if $config.users }}
config.users would be readable by all who may read ConfigMaps: put users into users.inline, or name a Secret in users.existingSecret
{{- end }}
{{- range $option := list "access_key_id" "secret_access_key" "session_token" }}
{{- if dig $option "" ($config.s3 | default dict) }}
config.s3.{{ $option }} would be readable by all who may read ConfigMaps: put it into a Secret and name that in credentials.existingSecret
{{- end }}
{{- range $name, $storage := $config.storages }}
{{- if dig $option "" ($storage | default dict) }}
config.storages.{{ $name }}.{{ $option }} would be readable by all who may read ConfigMaps: put it into a Secret, and give it as S3SFTP_STORAGES__{{ upper $name }}__{{ upper $option }} in extraEnv
{{- end }}
{{- end }}
{{- end }}
{{- $elsewhere := or (dig "users_file" "" ($config.auth | default dict)) (dig "users_dir" "" ($config.auth | default dict)) (dig "url" "" ($config.hook | default dict)) (dig "users_table" "" ($config.dynamodb | default dict)) (dig "prefix" "" ($config.secrets_manager | default dict)) }}
{{- if not (or $users.inline $users.existingSecret $users.externalSecret.enabled $users.csi.enabled $elsewhere) }}
there are no users: give users.inline, users.existingSecret, users.externalSecret or users.csi
{{- end }}
{{- if and (dig "users_dir" "" ($config.auth | default dict)) (or $users.inline $users.groups $users.existingSecret $users.externalSecret.enabled $users.csi.enabled) }}
config.auth.users_dir is where the chart mounts the users: leave it out, or give no users beside it
{{- end }}
{{- range $name, $user := $users.inline }}
{{- if not (or $user.password_hash $user.authorized_keys $user.authorized_keys_file) }}
users.inline.{{ $name }} cannot log in: give it authorized_keys, or a password_hash made by `s3sftp hash-password`
{{- end }}
{{- end }}
{{- if and .Values.test.enabled (hasKey $users.inline .Values.test.user) }}
users.inline.{{ .Values.test.user }} has the name of the user of `helm test`: change test.user
{{- end }}
{{- with $users.externalSecret }}
{{- if and .enabled (not .secretStoreRef) }}
users.externalSecret.secretStoreRef is missing: name the SecretStore or ClusterSecretStore
{{- end }}
{{- if and .enabled (not (or .data .dataFrom)) }}
users.externalSecret has neither data nor dataFrom, so the Secret would be empty
{{- end }}
{{- end }}
{{- with $users.csi }}
{{- if and .enabled (not .secretProviderClass) }}
users.csi.secretProviderClass is missing: name the SecretProviderClass
{{- end }}
{{- if and .enabled (or $users.inline $users.groups $users.existingSecret $users.externalSecret.enabled) }}
users.csi is a volume by itself: give no users.inline, users.groups, users.existingSecret or users.externalSecret beside it
{{- end }}
{{- end }}
{{- with .Values.serviceAccount }}
{{- if and .irsaRoleArn .podIdentity }}
serviceAccount.irsaRoleArn and serviceAccount.podIdentity are two ways to the same role: choose one
{{- end }}
{{- if and .irsaRoleArn (not .create) }}
serviceAccount.irsaRoleArn is written on the ServiceAccount that the chart makes: set serviceAccount.create, or annotate yours
{{- end }}
{{- if and (not .create) (not .name) .podIdentity }}
serviceAccount.name is missing: a role of Pod Identity for the ServiceAccount `default` would be that of every pod in the namespace
{{- end }}
{{- end }}
{{- end }}

{{- define "s3sftp.problems.hostKeys" -}}
{{- if not (or .Values.hostKeys.existingSecret .Values.hostKeys.generate) }}
there are no host keys: name a Secret in hostKeys.existingSecret, or set hostKeys.generate
{{- end }}
{{- if dig "host_keys" "" (.Values.config.ssh | default dict) }}
config.ssh.host_keys is set from hostKeys.files: name the keys of the Secret there
{{- end }}
{{- /* on an upgrade the Secret may have more: the Job looks */}}
{{- range .Values.hostKeys.files }}
{{- if and $.Release.IsInstall (include "s3sftp.makesHostKeys" $) (not (has . (list "ssh_host_ed25519_key" "ssh_host_ecdsa_key" "ssh_host_rsa_key"))) }}
hostKeys.files has {{ . }}, which is not generated: choose from ssh_host_ed25519_key, ssh_host_ecdsa_key and ssh_host_rsa_key, or name a Secret that has it in hostKeys.existingSecret
{{- end }}
{{- end }}
{{- end }}

{{- define "s3sftp.problems.network" -}}
{{- $listen := .Values.config.listen | default dict }}
{{- $admin := .Values.config.admin | default dict }}
{{- $service := .Values.service }}
{{- if and (ne ($listen.proxy_protocol | default "off") "off") (not $listen.proxy_sources) }}
config.listen.proxy_protocol = {{ $listen.proxy_protocol }} needs config.listen.proxy_sources: the networks that the load balancer sends from, as anybody else could claim any address
{{- end }}
{{- if regexMatch "^[0-9]" (include "s3sftp.fullname" .) }}
the release name {{ .Release.Name }} begins with a digit, which the name of a Service cannot: set fullnameOverride
{{- end }}
{{- if not $listen.port }}
config.listen.port should be a fixed port from 1 to 65535: the Service sends clients to it
{{- end }}
{{- if not $admin.port }}
config.admin.port should be a fixed port from 1 to 65535: Kubernetes asks there whether the pod is ready
{{- end }}
{{- if and $admin.port (eq (int $admin.port) (int $listen.port)) }}
config.admin.port and config.listen.port are both {{ int $admin.port }}: change one
{{- end }}
{{- $everybody := not .Values.networkPolicy.enabled }}
{{- range $peer := .Values.networkPolicy.monitoring }}
{{- if and (hasKey $peer "namespaceSelector") (not $peer.namespaceSelector) (not $peer.podSelector) }}
{{- $everybody = true }}
{{- end }}
{{- end }}
{{- if and .Values.adminTokens.existingSecret (not .Values.adminTokens.allowPlainHttp) (not $admin.cert_file) $everybody }}
adminTokens.existingSecret opens an API without TLS to all pods of the cluster, where others may read the tokens: give config.admin.cert_file and config.admin.key_file, admit fewer in networkPolicy.monitoring, or set adminTokens.allowPlainHttp if something else encrypts what comes there
{{- end }}
{{- range $name, $group := dict "admin" $admin "listen" $listen }}
{{- if regexMatch "^(127\\..*|::1|localhost)$" ($group.host | default "") }}
config.{{ $name }}.host = {{ $group.host }} is reached from inside the pod alone: leave it out
{{- end }}
{{- end }}
{{- if and (ne $service.type "LoadBalancer") $service.aws.enabled }}
service.aws.enabled needs service.type = LoadBalancer, not {{ $service.type }}
{{- end }}
{{- if and (ne $service.type "LoadBalancer") $service.loadBalancerSourceRanges }}
service.loadBalancerSourceRanges are enforced by a load balancer, and service.type is {{ $service.type }}: use networkPolicy.clients
{{- end }}
{{- if and (eq $service.type "ClusterIP") $service.nodePort }}
service.nodePort needs service.type = NodePort or LoadBalancer
{{- end }}
{{- if and $service.aws.eipAllocations (eq $service.aws.scheme "internal") }}
service.aws.eipAllocations are public addresses, and service.aws.scheme is internal: leave them out, or use internet-facing
{{- end }}
{{- if and $service.aws.eipAllocations (ne (len $service.aws.eipAllocations) (len $service.aws.subnets)) }}
service.aws.eipAllocations has {{ len $service.aws.eipAllocations }} addresses for {{ len $service.aws.subnets }} service.aws.subnets: give one for each subnet
{{- end }}
{{- end }}

{{- define "s3sftp.problems.scaling" -}}
{{- if hasKey .Values "replicaCount" }}
replicaCount is called replicas in this chart: set that
{{- end }}
{{- $hpa := .Values.autoscaling }}
{{- $pdb := .Values.podDisruptionBudget }}
{{- if and $hpa.enabled (gt (int $hpa.minReplicas) (int $hpa.maxReplicas)) }}
autoscaling.minReplicas = {{ int $hpa.minReplicas }} is more than autoscaling.maxReplicas = {{ int $hpa.maxReplicas }}
{{- end }}
{{- if and $hpa.enabled (not (or $hpa.targetCPUUtilizationPercentage $hpa.targetSessions)) }}
autoscaling has nothing to go by: set autoscaling.targetCPUUtilizationPercentage or autoscaling.targetSessions
{{- end }}
{{- if and $hpa.enabled $hpa.targetCPUUtilizationPercentage (not (dig "requests" "cpu" "" .Values.resources)) }}
autoscaling.targetCPUUtilizationPercentage is a percentage of resources.requests.cpu, which is missing
{{- end }}
{{- $least := ternary (int $hpa.minReplicas) (int .Values.replicas) $hpa.enabled }}
{{- if $pdb.enabled }}
{{- if not (or (kindIs "invalid" $pdb.minAvailable) (kindIs "invalid" $pdb.maxUnavailable)) }}
podDisruptionBudget has minAvailable and maxUnavailable: Kubernetes takes one of them
{{- end }}
{{- if not (kindIs "invalid" $pdb.minAvailable) }}
{{- if or (eq (toString $pdb.minAvailable) "100%") (and (not (kindIs "string" $pdb.minAvailable)) (gt $least 0) (ge (int $pdb.minAvailable) $least)) }}
podDisruptionBudget.minAvailable = {{ $pdb.minAvailable }} of {{ $least }} pods lets no node be drained, ever: lower it, or have more pods
{{- end }}
{{- end }}
{{- if and (not (kindIs "invalid" $pdb.maxUnavailable)) (has (toString $pdb.maxUnavailable) (list "0" "0%")) }}
podDisruptionBudget.maxUnavailable = {{ $pdb.maxUnavailable }} lets no node be drained, ever: set it to 1 or more
{{- end }}
{{- end }}
{{- with dig "rollingUpdate" dict .Values.updateStrategy }}
{{- if and (hasKey . "maxUnavailable") (hasKey . "maxSurge") (has (toString .maxUnavailable) (list "0" "0%")) (has (toString .maxSurge) (list "0" "0%")) }}
updateStrategy.rollingUpdate lets no pod be missing and none be added, so nothing could ever be updated: set maxSurge or maxUnavailable to 1
{{- end }}
{{- end }}
{{- end }}

{{- define "s3sftp.problems.stopping" -}}
{{- $least := include "s3sftp.leastGraceSeconds" . | int }}
{{- $grace := .Values.terminationGracePeriodSeconds }}
{{- if and (not (kindIs "invalid" $grace)) (lt (int $grace) $least) }}
terminationGracePeriodSeconds = {{ int $grace }} would kill pods while they drain: leave it out, or set it to at least {{ $least }} (config.server.drain_delay, config.server.drain_timeout, config.sftp.close_timeout, and 15)
{{- end }}
{{- end }}

{{- define "s3sftp.problems.memory" -}}
{{- $files := .Values.config.files | default dict }}
{{- $buffer := include "s3sftp.mebibytes" (dig "buffer_bytes" "256 MiB" $files) | int }}
{{- with dig "limits" "memory" "" .Values.resources }}
{{- if le (include "s3sftp.mebibytes" . | int) $buffer }}
resources.limits.memory = {{ . }} is not more than config.files.buffer_bytes ({{ $buffer }} MiB), so a busy pod would be killed: leave 300 MiB beside it
{{- end }}
{{- end }}
{{- if eq (dig "rewrite" "refuse" $files) "spool" }}
{{- $spool := include "s3sftp.mebibytes" (dig "spool_bytes" "1024 MiB" $files) | int }}
{{- if lt (include "s3sftp.mebibytes" .Values.tmp.sizeLimit | int) $spool }}
tmp.sizeLimit = {{ .Values.tmp.sizeLimit }} is less than config.files.spool_bytes ({{ $spool }} MiB), so Kubernetes would evict a pod that uses them: raise it
{{- end }}
{{- end }}
{{- end }}

{{/* What the chart sets itself: twice in a pod it would be an error of YAML, or of Kubernetes. */}}
{{- define "s3sftp.problems.names" -}}
{{- range $value, $labels := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels }}
{{- range $name, $_ := $labels }}
{{- if or (hasPrefix "app.kubernetes.io/" $name) (eq $name "helm.sh/chart") (and (eq $value "podLabels") (hasKey $.Values.commonLabels $name)) }}
{{ $value }} has {{ $name }}, which is set already: give it another name
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.extraVolumes }}
{{- if has .name (list "config" "users" "host-keys" "state" "tmp") }}
extraVolumes has {{ .name }}, which is a volume of the chart: give it another name
{{- end }}
{{- end }}
{{- end }}

{{- define "s3sftp.problems.monitoring" -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
serviceMonitor.enabled and podMonitor.enabled would count everything twice: choose one
{{- end }}
{{- end }}
