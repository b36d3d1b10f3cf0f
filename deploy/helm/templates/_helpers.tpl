{{- define "hurricane.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "hurricane.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "hurricane.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "hurricane.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "hurricane.selectorLabels" -}}
app.kubernetes.io/name: {{ include "hurricane.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What runs, for labels and for the server's own HURRICANE_VERSION. */}}
{{- define "hurricane.version" -}}
{{- default .Chart.AppVersion .Values.image.tag -}}
{{- end -}}

{{- define "hurricane.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "hurricane.selectorLabels" . }}
app.kubernetes.io/version: {{ include "hurricane.version" . | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "hurricane.image" -}}
{{- $repository := required "image.repository is missing: name the image that has your project installed" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (include "hurricane.version" .) -}}
{{- end -}}
{{- end -}}

{{- define "hurricane.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "hurricane.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* PodSecurity "restricted", for pods; each says under which seccomp profile. */}}
{{- define "hurricane.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ .Values.user }}
runAsGroup: {{ .Values.group }}
fsGroup: {{ .Values.group }}
{{- end -}}

{{/* The same, for containers. */}}
{{- define "hurricane.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "hurricane.check" -}}
{{- $needed := add .Values.drainDelaySeconds .Values.gracePeriodSeconds 2 | int -}}
{{- if gt $needed (int .Values.terminationGracePeriodSeconds) -}}
{{- fail (printf "drainDelaySeconds, gracePeriodSeconds and 2 s for the end are %d s, more than terminationGracePeriodSeconds %d: requests would be killed; raise it or lower gracePeriodSeconds" $needed (int .Values.terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- if and .Values.autoscaling.hpa.enabled .Values.autoscaling.keda.enabled -}}
{{- fail "autoscaling.hpa and autoscaling.keda are both enabled: KEDA makes an autoscaler of its own; choose one" -}}
{{- end -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) -}}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if eq (int .Values.port) (int .Values.probePort) -}}
{{- fail "port and probePort are equal: probes need a port of their own, or a stalled worker does not answer them" -}}
{{- end -}}
{{- end -}}
