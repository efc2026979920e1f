{{- define "servable.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "servable.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "servable.labels" -}}
{{ include "servable.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "servable.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* How to ask for the health of a service: a list of what includes this, and the name of the service. */ -}}
{{- define "servable.probe" -}}
{{- $root := index . 0 }}{{ $service := index . 1 -}}
{{- if $root.Values.tls.secretName -}}
exec:
  command:
    - servable
    - health
    - 127.0.0.1:8500
    - --service={{ $service }}
    - --ca_file=/etc/servable-tls/ca.crt
    - --cert_file=/etc/servable-tls/tls.crt
    - --key_file=/etc/servable-tls/tls.key
{{- else -}}
grpc:
  port: 8500
  {{- with $service }}
  service: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "servable.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "servable.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
