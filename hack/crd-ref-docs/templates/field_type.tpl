{{- /* The type of a field. Kubernetes' reference has no entry for types that are only another word for a simple one. */ -}}
{{- define "field_type" -}}
{{- $type := markdownRenderType .Type -}}
{{- $type = regexReplaceAll `\[RawExtension\]\([^)]*\)` $type "object" -}}
{{- $type = regexReplaceAll `\[(PullPolicy|ServiceExternalTrafficPolicy|ServiceType|UID)\]\([^)]*\)` $type "string" -}}
{{- $type = regexReplaceAll `\[IntOrString\]\([^)]*\)` $type "integer or string" -}}
{{- $type = regexReplaceAll `\[ResourceList\]\([^)]*\)` $type "object (keys:string, values:Quantity)" -}}
{{- $type = regexReplaceAll `\[Quantity\]\([^)]*\)` $type "Quantity" -}}
{{- $type = regexReplaceAll `\[Duration\]\([^)]*\)` $type "Duration" -}}
{{- $type | replace "Quantity" "[Quantity](https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)"
          | replace "Duration" "[Duration](https://gateway-api.sigs.k8s.io/geps/gep-2257/)" -}}
{{- end -}}
