{{/* What the AWS Load Balancer Controller is told; `service.annotations` win over it. */}}
{{- define "s3sftp.awsAnnotations" -}}
{{- $proxied := ne (dig "proxy_protocol" "off" (.Values.config.listen | default dict)) "off" -}}
{{- /* an hour is the most that AWS takes */ -}}
{{- $drain := min 3600 (include "s3sftp.leastGraceSeconds" . | int) -}}
{{- with .Values.service.aws -}}
{{- if .enabled -}}
service.beta.kubernetes.io/aws-load-balancer-type: external
service.beta.kubernetes.io/aws-load-balancer-scheme: {{ .scheme }}
service.beta.kubernetes.io/aws-load-balancer-nlb-target-type: {{ .targetType }}
{{- if $proxied }}
service.beta.kubernetes.io/aws-load-balancer-proxy-protocol: "*"
{{- end }}
{{- /* with PROXY headers the health check has one too, which the SFTP port understands and HTTP does not;
       the controller takes a pod out as soon as it is not ready */}}
service.beta.kubernetes.io/aws-load-balancer-healthcheck-protocol: tcp
service.beta.kubernetes.io/aws-load-balancer-healthcheck-port: traffic-port
service.beta.kubernetes.io/aws-load-balancer-target-group-attributes: {{ printf "preserve_client_ip.enabled=%t,deregistration_delay.timeout_seconds=%d,deregistration_delay.connection_termination.enabled=false" (not $proxied) $drain }}
service.beta.kubernetes.io/aws-load-balancer-attributes: load_balancing.cross_zone.enabled={{ .crossZone }}
{{- with .subnets }}
service.beta.kubernetes.io/aws-load-balancer-subnets: {{ join "," . | quote }}
{{- end }}
{{- with .eipAllocations }}
service.beta.kubernetes.io/aws-load-balancer-eip-allocations: {{ join "," . | quote }}
{{- end }}
{{- end -}}
{{- end -}}
{{- end }}
