{{/* The name of the installation, with which the names of all its objects begin. */}}
{{- define "dynamic-mcp.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains "dynamic-mcp" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-dynamic-mcp" (.Release.Name | trunc 28 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* The labels by which the manager's pods are found. */}}
{{- define "dynamic-mcp.selectorLabels" -}}
app.kubernetes.io/name: dynamic-mcp
app.kubernetes.io/instance: {{ .Release.Name }}
control-plane: controller-manager
{{- end -}}

{{/* Labels of every object. Never app.kubernetes.io/managed-by=dynamic-mcp: that is for what the manager makes. */}}
{{- define "dynamic-mcp.labels" -}}
{{- with .Values.commonLabels }}{{ toYaml . }}
{{ end -}}
app.kubernetes.io/name: dynamic-mcp
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: dynamic-mcp
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "dynamic-mcp.serviceAccount" -}}
{{ include "dynamic-mcp.fullname" . }}-controller-manager
{{- end -}}

{{/* Whom RoleBindings and ClusterRoleBindings are for. */}}
{{- define "dynamic-mcp.subjects" -}}
subjects:
- kind: ServiceAccount
  name: {{ include "dynamic-mcp.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{- define "dynamic-mcp.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/*
What config/default says, by the names of this release. The files are made from config/ by make chart, and the names in them
are those of the release dynamic-mcp in the namespace dynamic-mcp-system. Takes the root and the file's name.
*/}}
{{- define "dynamic-mcp.file" -}}
{{- $root := index . 0 -}}
{{- $fullname := include "dynamic-mcp.fullname" $root -}}
{{- $text := $root.Files.Get (index . 1) -}}
{{- $text = $text | replace "dynamic-mcp-system" "@namespace@" -}}
{{- range $name := list "controller-manager" "webhook-certificate" "manager" "validating-webhook-configuration" "webhook-service" -}}
{{- $text = $text | replace (printf "dynamic-mcp-%s" $name) (printf "%s-%s" $fullname $name) -}}
{{- end -}}
{{- $text = regexReplaceAll "(?m)dynamic-mcp-proxy($|')" $text (printf "%s-proxy${1}" $fullname) -}}
{{- $text | replace "@namespace@" $root.Release.Namespace -}}
{{- end -}}

{{/* The resources of the manager's role that are in no namespace. */}}
{{- define "dynamic-mcp.clusterScoped" -}}
clusterrolebindings clusterroles customresourcedefinitions gatewayclasses gatewayclasses/status namespaces
{{- end -}}

{{/*
The rules of the manager's role for resources that are in namespaces, or for the others. Takes the root and whether it is
those in namespaces.
*/}}
{{- define "dynamic-mcp.rules" -}}
{{- $namespaced := index . 1 -}}
{{- $cluster := splitList " " (include "dynamic-mcp.clusterScoped" .) -}}
{{- $role := include "dynamic-mcp.file" (list (index . 0) "files/manager_role.yaml") | fromYaml -}}
{{- range $rule := $role.rules }}
{{- $resources := list -}}
{{- range $resource := $rule.resources -}}
{{- if ne $namespaced (has $resource $cluster) -}}{{- $resources = append $resources $resource -}}{{- end -}}
{{- end -}}
{{- if $resources }}
- {{ merge (dict "resources" $resources) $rule | toYaml | nindent 2 | trim }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Annotations of what the pod of helm test may do, which is there before it. */}}
{{- define "dynamic-mcp.testRights" -}}
helm.sh/hook: test
helm.sh/hook-weight: "-1"
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end -}}

{{- define "dynamic-mcp.testSubjects" -}}
subjects:
- kind: ServiceAccount
  name: {{ include "dynamic-mcp.fullname" . }}-check
  namespace: {{ .Release.Namespace }}
{{- end -}}
